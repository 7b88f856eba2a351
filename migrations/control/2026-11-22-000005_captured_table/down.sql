DROP TABLE lockstep.captured_table;
