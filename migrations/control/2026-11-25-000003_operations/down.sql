DROP TABLE lockstep.task, lockstep.clean_up, lockstep.erasure, lockstep.setting, lockstep.resync, lockstep.fuse, lockstep.fuse_mended;
DROP FUNCTION lockstep.setting_changed(), lockstep.count_mended_fuses();
