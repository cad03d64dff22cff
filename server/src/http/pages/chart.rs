//! Counts by day as a chart: bars in per cent of the picture, so that it fits any width without a script.

use serde::Serialize;

use crate::domain::report::{DayCount, shown_day};

/// A chart of counts by day.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Chart {
    bars: Vec<Bar>,
    /// The largest count.
    top: i64,
    first: String,
    last: String,
}

#[derive(Clone, Debug, Serialize)]
struct Bar {
    x: f64,
    width: f64,
    y: f64,
    height: f64,
    day: String,
    count: i64,
}

impl Chart {
    /// A chart; `None` when nothing was counted. Days that are missing in between count nothing.
    #[expect(clippy::cast_precision_loss, reason = "a picture has fewer pixels than an f64 has digits")]
    pub(super) fn new(days: &[DayCount]) -> Option<Self> {
        let (first, last) = (days.first()?.day, days.last()?.day);
        let span = (last - first + 1) as f64;
        let top = days.iter().map(|day| day.count).max().filter(|top| *top > 0)?;
        let rounded = |number: f64| (number * 100.0).round() / 100.0;
        let bars = days.iter().map(|day| {
            let height = day.count as f64 / top as f64 * 100.0;
            Bar {
                x: rounded((day.day - first) as f64 / span * 100.0),
                width: rounded((100.0 / span * 0.85).min(6.0)),
                y: rounded(100.0 - height),
                height: rounded(height),
                day: shown_day(day.day),
                count: day.count,
            }
        });
        Some(Self { bars: bars.collect(), top, first: shown_day(first), last: shown_day(last) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_to_scale_and_lie_where_their_days_are() {
        let day = |day, count| DayCount { day, count };
        assert!(Chart::new(&[]).is_none());
        assert!(Chart::new(&[day(0, 0), day(1, 0)]).is_none());
        let chart = Chart::new(&[day(0, 5), day(9, 10)]).unwrap();
        assert_eq!((chart.top, chart.first.as_str(), chart.last.as_str()), (10, "1970-01-01", "1970-01-10"));
        let places: Vec<_> = chart.bars.iter().map(|bar| (bar.x, bar.y, bar.height)).collect();
        assert_eq!(places, [(0.0, 50.0, 50.0), (90.0, 0.0, 100.0)]);
    }
}
