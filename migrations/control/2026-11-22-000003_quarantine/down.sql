DROP TABLE lockstep.quarantine;
