//! What a scenario has to say.

use serde_json::{Map, Value, json};

/// A scenario's outcome: a ratio of ours to the baseline of the same run, larger is better, and the figures behind it.
pub(super) struct Scenario {
    pub(super) name: String,
    pub(super) ratio: f64,
    pub(super) baseline: &'static str,
    pub(super) figures: Vec<(&'static str, Value)>,
}

impl Scenario {
    pub(super) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        if as_json {
            let mut object = Map::new();
            object.insert("scenario".to_owned(), json!(self.name));
            object.insert("ratio".to_owned(), json!(rounded(self.ratio)));
            object.insert("baseline".to_owned(), json!(self.baseline));
            object.extend(self.figures.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
            println!("{}", serde_json::to_string(&Value::Object(object))?);
            return Ok(());
        }
        println!("{:<28} {:>8.2} × {}", self.name, self.ratio, self.baseline);
        for (name, value) in &self.figures {
            println!("    {name:<32} {value}");
        }
        Ok(())
    }
}

/// Two digits behind the point: more would claim a precision that a shared machine does not have.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// The middle value; the larger of two.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The value that so many percent of all are at most; of few values, the greatest.
pub(super) fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

/// Things a second, without digits behind the point.
pub(super) fn per_second(count: u64, seconds: f64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "counts of benchmarks are far below 2^52")]
    let count = count as f64;
    (count / seconds).round()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_one_of_the_values() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(&[1.0]) - 1.0).abs() < f64::EPSILON);
        assert!(median(&[]).is_nan());
        let hundred: Vec<_> = (1..=200).map(f64::from).collect();
        assert!((percentile(&hundred, 99) - 198.0).abs() < f64::EPSILON);
        assert!((percentile(&[1.0, 3.0, 2.0], 99) - 3.0).abs() < f64::EPSILON);
    }
}
