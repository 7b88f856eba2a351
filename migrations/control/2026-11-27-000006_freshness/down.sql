DROP TABLE lockstep.action, lockstep.instance, lockstep.sweep_result;
