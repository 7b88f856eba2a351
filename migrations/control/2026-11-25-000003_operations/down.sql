DROP TABLE lockstep.task, lockstep.clean_up, lockstep.erasure, lockstep.setting, lockstep.resync, lockstep.pause, lockstep.resumed;
DROP FUNCTION lockstep.setting_changed(), lockstep.count_resumed();
