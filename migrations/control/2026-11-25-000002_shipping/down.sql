DROP TABLE lockstep.quarantine, lockstep.refill, lockstep.fill_range, lockstep.fill, lockstep.destination, lockstep.fence, lockstep.announced;
