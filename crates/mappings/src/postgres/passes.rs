//! Finding one of the passes that are kept (`lockstep.pass`): those of an hour, then one a minute of 30 days.

/// The first pass that went beyond a number, as a row of `id`, `passed_at` and `consumed` or none, to be selected from. `number` is an expression.
///
/// Ids and numbers of passes only grow together (SEQ-1), so it is found by halving: some thirty look-ups of the primary key, however
/// many passes there are and wherever it is among them. Reading from the newest backwards, or from the oldest on, would cost
/// what waits, or what is kept.
pub fn first_beyond(number: &str) -> String {
    format!(
        "(WITH RECURSIVE halves AS (SELECT min(id) AS low, max(id) AS high FROM lockstep.pass
  UNION ALL SELECT CASE WHEN p.last_sequence > {number} THEN h.low ELSE p.id + 1 END,
    CASE WHEN p.last_sequence > {number} THEN h.low + (h.high - h.low) / 2 ELSE h.high END
  FROM halves h, LATERAL (SELECT id, last_sequence FROM lockstep.pass WHERE id >= h.low + (h.high - h.low) / 2 ORDER BY id LIMIT 1) p
  WHERE h.low < h.high)
SELECT p.id, p.passed_at, p.consumed FROM lockstep.pass p
WHERE p.id >= (SELECT max(low) FROM halves) AND p.last_sequence > {number} ORDER BY p.id LIMIT 1)"
    )
}
