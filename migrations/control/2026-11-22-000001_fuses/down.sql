DROP TABLE lockstep.fuse;
DROP FUNCTION lockstep.count_mended_fuses();
DROP TABLE lockstep.fuse_mended;
