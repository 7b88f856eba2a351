DROP TABLE lockstep.captured_table, lockstep.tenancy_location, lockstep.expansion, lockstep.origin, lockstep.pass;
DROP FUNCTION lockstep.extend_change(bigint, bigint);
DROP TABLE lockstep.change_partition, lockstep.change, lockstep.target;
DROP VIEW lockstep.inbox;
DROP TABLE lockstep.inbox_1, lockstep.inbox_0;
DROP SEQUENCE lockstep.sequence;
