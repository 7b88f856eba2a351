DROP TABLE lockstep.finding, lockstep.verified_except, lockstep.verified, lockstep.verification;
