DROP TABLE lockstep.event_delivery;
DROP TABLE lockstep.event_sink;
DROP TABLE lockstep.event;
