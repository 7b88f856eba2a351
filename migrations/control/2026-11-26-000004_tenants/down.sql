DROP TABLE lockstep.tenant_sweep, lockstep.tenant_mapping, lockstep.tenant_destination;
DROP FUNCTION lockstep.count_registrations();
