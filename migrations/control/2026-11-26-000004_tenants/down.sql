DROP TABLE lockstep.tenant_sweep, lockstep.tenant_mapping, lockstep.tenant_destination;
