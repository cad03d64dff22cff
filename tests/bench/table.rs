//! The one table: what was measured, what it stands beside, the ratio of the two, and whether an aim is met.
//!
//! Invariant: both values of a line come from the same run on the same machine; only their ratio can be compared with other machines.

/// A line of the table.
pub(crate) struct Line {
    pub(crate) what: String,
    pub(crate) measured: String,
    /// What it is compared with; empty for lines that have nothing beside them.
    pub(crate) beside: String,
    pub(crate) ratio: Option<f64>,
    pub(crate) aim: Option<Aim>,
}

/// What a value should be.
pub(crate) struct Aim {
    pub(crate) text: String,
    pub(crate) is_met: bool,
}

impl Line {
    /// A value with nothing beside it.
    pub(crate) fn new(what: impl Into<String>, measured: impl Into<String>) -> Self {
        Self { what: what.into(), measured: measured.into(), beside: String::new(), ratio: None, aim: None }
    }

    /// With what it is compared with, and how many times that it is.
    pub(crate) fn beside(self, beside: impl Into<String>, ratio: f64) -> Self {
        Self { beside: beside.into(), ratio: Some(ratio), ..self }
    }

    /// With an aim.
    pub(crate) fn aim(self, text: impl Into<String>, is_met: bool) -> Self {
        Self { aim: Some(Aim { text: text.into(), is_met }), ..self }
    }
}

/// The table as text.
pub(crate) fn render(lines: &[Line]) -> String {
    let mut cells = vec![["what", "measured", "beside it", "ratio", "aim"].map(str::to_owned)];
    for line in lines {
        let aim = line
            .aim
            .as_ref()
            .map(|aim| format!("{}: {}", aim.text, if aim.is_met { "met" } else { "NOT MET" }));
        cells.push([
            line.what.clone(),
            line.measured.clone(),
            line.beside.clone(),
            line.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
            aim.unwrap_or_default(),
        ]);
    }
    let mut widths = [0; 5];
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    cells.insert(1, widths.map(|width| "-".repeat(width)));
    let mut text = String::new();
    for row in &cells {
        let padded: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(&format!("| {} |\n", padded.join(" | ")));
    }
    text
}

/// The value in the middle; of an even number the mean of the two.
pub(crate) fn median(values: &[f64]) -> f64 {
    at(values, 0.5)
}

/// The value below which `part` of all values are, between its neighbours in proportion; 0 of nothing.
pub(crate) fn at(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = part * count(sorted.len().saturating_sub(1));
    // Both are within the list: `part` is at most 1.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a list")]
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    match (sorted.get(low), sorted.get(high)) {
        (Some(low), Some(high)) => low + (high - low) * place.fract(),
        _ => 0.0,
    }
}

/// A count as a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are small")]
pub(crate) fn count(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert!((median(&[9.0, 1.0, 2.0, 4.0]) - 3.0).abs() < 1e-9);
        assert!((at(&[1.0, 2.0, 3.0], 1.0) - 3.0).abs() < 1e-9);
        assert!(median(&[]).abs() < 1e-9);
    }

    #[test]
    fn an_aim_that_is_missed_says_so() {
        let line = Line::new("size", "16 MiB").beside("8 MiB", 2.0).aim("under 15 MiB", false);
        let text = render(&[line]);
        assert!(text.contains("| 2.00  | under 15 MiB: NOT MET |"), "{text}");
    }
}
