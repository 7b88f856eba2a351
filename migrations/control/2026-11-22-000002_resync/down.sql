DROP TABLE lockstep.resync;
