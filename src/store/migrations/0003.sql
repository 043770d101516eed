-- A dead delivery that was replayed is not a dead letter any longer: its state is 'replayed'. The
-- newest delivery of a message to a target settles all older ones.
UPDATE deliveries SET state = 'replayed'
  WHERE state = 'dead' AND EXISTS (
    SELECT 1 FROM deliveries AS newer
    WHERE newer.message_id = deliveries.message_id AND newer.target_id = deliveries.target_id AND newer.id > deliveries.id);

CREATE INDEX deliveries_dead ON deliveries (target_id, message_id) WHERE state = 'dead';

-- Failed deliveries that were not replayed, newest first. Listeners have no dead letters.
DROP VIEW dead_letters;
CREATE VIEW dead_letters AS
  SELECT deliveries.id, deliveries.finished_at, targets.name AS target, targets.state AS target_state, deliveries.message_id,
         messages.event, deliveries.attempts, deliveries.outcome
  FROM deliveries JOIN targets ON targets.id = deliveries.target_id LEFT JOIN messages ON messages.id = deliveries.message_id
  WHERE deliveries.state = 'dead' AND targets.kind <> 'listener' ORDER BY deliveries.id DESC;
