-- A dead delivery that was replayed is no dead letter: its state is 'replayed'. Every older delivery of a message to the same
-- target is settled by the newest one.
UPDATE deliveries SET state = 'replayed'
  WHERE state = 'dead' AND EXISTS (
    SELECT 1 FROM deliveries AS newer
    WHERE newer.message_id = deliveries.message_id AND newer.target_id = deliveries.target_id AND newer.id > deliveries.id);

CREATE INDEX deliveries_dead ON deliveries (target_id, message_id) WHERE state = 'dead';

-- What could not be delivered and was not replayed, newest first. Listeners have no dead letters.
DROP VIEW dead_letters;
CREATE VIEW dead_letters AS
  SELECT deliveries.id, deliveries.finished_at, targets.name AS target, targets.state AS target_state, deliveries.message_id,
         messages.event, deliveries.attempts, deliveries.outcome
  FROM deliveries JOIN targets ON targets.id = deliveries.target_id LEFT JOIN messages ON messages.id = deliveries.message_id
  WHERE deliveries.state = 'dead' AND targets.kind <> 'listener' ORDER BY deliveries.id DESC;
