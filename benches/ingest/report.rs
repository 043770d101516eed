//! The figures as a Markdown table. Bounds are for developers, and are printed to stderr only.

use std::fmt::Write as _;

#[derive(Clone, Copy, Debug)]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    fn is_reached_by(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

#[derive(Debug)]
struct Row {
    figure: String,
    body: String,
    measured: String,
}

#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
    notes: Vec<String>,
}

impl Report {
    /// Adds a figure without a bound.
    pub fn figure(&mut self, figure: &str, body: &str, measured: String) {
        self.row(figure, body, measured, String::new(), "");
    }

    /// Adds a figure with a bound, both in `unit`.
    pub fn bounded(&mut self, figure: &str, body: &str, value: f64, unit: &str, bound: Bound) {
        let wanted = match bound {
            Bound::AtLeast(least) => format!("≥ {least}{unit}"),
            Bound::AtMost(most) => format!("≤ {most}{unit}"),
        };
        let reached = if bound.is_reached_by(value) { "reached" } else { "**not reached**" };
        self.row(figure, body, format!("{}{unit}", number(value)), wanted, reached);
    }

    /// Adds the medians of two kinds of run that alternated, and their ratio.
    pub fn ratio(&mut self, figure: &str, body: &str, unit: &str, (first, second): (&[f64], &[f64])) {
        let ratio = number(median(first) / median(second));
        let text = format!("{} : {} = **{ratio}**", with_spread(first, unit), with_spread(second, unit));
        self.figure(figure, body, text);
    }

    /// Adds a figure whose runs are invalid, with the reason.
    pub fn void(&mut self, figure: &str, body: &str, value: f64, why: &str) {
        self.row(figure, body, format!("{} (void: {why})", number(value)), String::new(), "**void**");
    }

    pub fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    fn row(&mut self, figure: &str, body: &str, measured: String, wanted: String, reached: &'static str) {
        eprintln!("  {figure} {body}: {measured} {wanted} {reached}");
        self.rows.push(Row { figure: figure.to_owned(), body: body.to_owned(), measured });
    }

    pub fn to_markdown(&self, machine: &[(&'static str, String)]) -> String {
        let mut text = "| machine | |\n|---|---|\n".to_owned();
        for (name, value) in machine {
            let _ = writeln!(text, "| {name} | {value} |");
        }
        text.push_str("\n| figure | body | measured |\n|---|---|---|\n");
        for Row { figure, body, measured } in &self.rows {
            let _ = writeln!(text, "| {figure} | {body} | {measured} |");
        }
        if !self.notes.is_empty() {
            text.push('\n');
        }
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        text
    }
}

/// Formats a number with two decimals below 10, one decimal below 100, and none from 100 on.
pub fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Returns the median: the upper of the two middle values for an even count, and 0 for no values.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// Formats the median, followed by the smallest and the largest value.
pub fn with_spread(values: &[f64], unit: &str) -> String {
    let smallest = values.iter().copied().fold(f64::INFINITY, f64::min);
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{}{unit} ({}–{})", number(median(values)), number(smallest), number(largest))
}
