//! Gains with their intervals, a row each: what a table says, at a glance.

use super::{COLOURS, words};
use coordinator::summary::{InstructSummary, RewriterSummary, Shown, Summary};
use domain::stats::Estimate;
use plotters::prelude::{
    ChartBuilder, Circle, Color, IntoDrawingArea, PathElement, SVGBackend, Text, WHITE,
};

const WIDTH: u32 = 820;
/// Left of the axis: the names.
const NAMES: u32 = 250;
const ROW: u32 = 46;
/// Above and below the rows.
const REST: u32 = 124;
/// The longest name shown whole, characters.
const LONGEST: usize = 34;

/// Rows of gains: in each at most one estimate of each kind.
pub(super) struct Chart {
    title: String,
    kinds: Vec<&'static str>,
    rows: Vec<(String, Vec<Option<Estimate>>)>,
}

/// The gains of a result; `None` where it has none.
pub(super) fn of(shown: &Shown) -> Option<Chart> {
    let chart = match shown {
        Shown::Search(summary) => search(summary),
        Shown::Rewriters(summary) => rewriters(summary),
        Shown::Instruct(summary) => instruct(summary),
        Shown::Evaluation(_) => return None,
    };
    let measured = |(_, of): &(String, Vec<Option<Estimate>>)| of.iter().any(Option::is_some);
    chart.rows.iter().any(measured).then_some(chart)
}

fn search(summary: &Summary) -> Chart {
    let row = |d: &coordinator::summary::DatasetSummary| {
        let gain = d.gain.as_ref();
        let of = vec![
            gain.map(|g| g.winners),
            gain.and_then(|g| g.placebo),
            gain.map(|g| g.net),
        ];
        (d.dataset.clone(), of)
    };
    Chart {
        title: format!(
            "{}: search gain on fresh draws, 95% intervals",
            summary.name
        ),
        kinds: vec!["winners", "placebo", "winners less placebo"],
        rows: summary.datasets.iter().map(row).collect(),
    }
}

fn instruct(summary: &InstructSummary) -> Chart {
    Chart {
        title: format!(
            "{}: gain over the start prompt on sealed test examples, 95% interval",
            summary.name
        ),
        kinds: vec!["chosen prompt"],
        rows: vec![(summary.dataset.clone(), vec![summary.gain])],
    }
}

fn rewriters(summary: &RewriterSummary) -> Chart {
    let rows = summary.rewriters.iter().map(|s| {
        let name = format!("{} / {}", s.rewriter, s.dataset);
        (name, vec![s.gain, s.hard])
    });
    Chart {
        title: format!(
            "{}: gain over the original prompt, 95% intervals",
            summary.name
        ),
        kinds: vec!["all prompts", "hard half"],
        rows: rows.collect(),
    }
}

impl Chart {
    /// The picture.
    ///
    /// # Errors
    /// When it cannot be drawn.
    pub(super) fn svg(&self) -> anyhow::Result<String> {
        let mut svg = String::new();
        self.draw(&mut svg)?;
        Ok(svg)
    }

    fn draw(&self, svg: &mut String) -> anyhow::Result<()> {
        let rows = self.rows.len();
        let size = (WIDTH, ROW * rows as u32 + REST);
        let root = SVGBackend::with_string(svg, size).into_drawing_area();
        root.fill(&WHITE)?;
        let (low, high) = self.range();
        let mut chart = ChartBuilder::on(&root)
            .caption(&self.title, words(17))
            .margin(14)
            .x_label_area_size(42)
            .y_label_area_size(NAMES)
            .build_cartesian_2d(low..high, 0.0..rows as f64)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .light_line_style(WHITE)
            .x_desc(
                "gain (grade; where a reward model grades: chance of being preferred, less 0.5)",
            )
            .label_style(words(13))
            .draw()?;
        let zero = [(0.0, 0.0), (0.0, rows as f64)];
        chart.draw_series([PathElement::new(zero, plotters::style::BLACK)])?;
        for (kind, (name, colour)) in self.kinds.iter().zip(COLOURS).enumerate() {
            let marks = self.marks(kind);
            let lines = marks
                .iter()
                .map(|(low, _, high)| PathElement::new([*low, *high], colour));
            chart.draw_series(lines)?;
            let dots = marks
                .iter()
                .map(|(_, mean, _)| Circle::new(*mean, 4, colour.filled()));
            let key = move |(x, y)| Circle::new((x + 9, y), 4, colour.filled());
            chart.draw_series(dots)?.label(*name).legend(key);
        }
        for (i, (name, _)) in self.rows.iter().enumerate() {
            let (_, y) = chart.backend_coord(&(low, self.height(i)));
            root.draw(&Text::new(short(name), (14, y - 7), words(14)))?;
        }
        // One kind needs no name, which would lie on its interval and look like another.
        if self.kinds.len() > 1 {
            chart
                .configure_series_labels()
                .background_style(WHITE.mix(0.8))
                .label_font(words(13))
                .draw()?;
        }
        root.present()?;
        Ok(())
    }

    /// The middle of a row; the first is on top.
    fn height(&self, row: usize) -> f64 {
        (self.rows.len() - row) as f64 - 0.5
    }

    /// Lower end, mean and upper end of every estimate of a kind.
    #[allow(clippy::type_complexity, reason = "three points")]
    fn marks(&self, kind: usize) -> Vec<((f64, f64), (f64, f64), (f64, f64))> {
        let beside = 0.2 * (kind as f64 - (self.kinds.len() - 1) as f64 / 2.0);
        let rows = self.rows.iter().enumerate();
        rows.filter_map(|(i, (_, of))| {
            let y = self.height(i) - beside;
            let e = of.get(kind).copied().flatten()?;
            Some(((e.ci95.0, y), (e.mean, y), (e.ci95.1, y)))
        })
        .collect()
    }

    /// From the lowest lower end to the highest upper end, zero among them.
    fn range(&self) -> (f64, f64) {
        let all = self.rows.iter().flat_map(|(_, of)| of.iter().flatten());
        let (low, high) = all.fold((0f64, 0f64), |(low, high), e| {
            (low.min(e.ci95.0), high.max(e.ci95.1))
        });
        let room = ((high - low) * 0.08).max(0.01);
        (low - room, high + room)
    }
}

fn short(name: &str) -> String {
    match name.chars().count() > LONGEST {
        true => name.chars().take(LONGEST - 1).chain(['…']).collect(),
        false => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(mean: f64, low: f64, high: f64) -> Option<Estimate> {
        Some(Estimate {
            mean,
            ci95: (low, high),
            n: 30,
        })
    }

    #[test]
    fn every_row_and_kind_is_drawn_around_zero() {
        let chart = Chart {
            title: "a run".to_owned(),
            kinds: vec!["all prompts", "hard half"],
            rows: vec![
                (
                    "rewriter / <i>".to_owned(),
                    vec![estimate(0.1, 0.02, 0.18), None],
                ),
                (
                    "base / a name that is much too long to be shown".to_owned(),
                    vec![estimate(-0.2, -0.3, 0.1), estimate(0.0, -0.1, 0.1)],
                ),
            ],
        };
        let (low, high) = chart.range();
        assert!(low < -0.3 && high > 0.18 && low > -0.4 && high < 0.3);
        let svg = chart.svg().unwrap();
        for words in ["rewriter / &lt;i&gt;", "hard half", "much too lo…", "a run"] {
            assert!(svg.contains(words), "{words}: {svg}");
        }
        // Three estimates and two in the key.
        assert_eq!(svg.matches("<circle").count(), 5);
    }
}
