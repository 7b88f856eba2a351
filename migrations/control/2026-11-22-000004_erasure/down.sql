DROP INDEX lockstep.tenancy_location_gone_idx;
DROP INDEX lockstep.tenancy_location_place_idx;
DROP TABLE lockstep.clean_up;
DROP TABLE lockstep.erasure;
DROP TABLE lockstep.setting;
DROP FUNCTION lockstep.setting_changed();
