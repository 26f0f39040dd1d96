//! A search for one instruction: what was believed after so many calls, and which prompts trade accuracy for length.

use super::{COLOURS, words};
use coordinator::summary::InstructSummary;
use plotters::prelude::{
    ChartBuilder, Circle, Color, IntoDrawingArea, LineSeries, RGBColor, SVGBackend, WHITE,
};

const SIZE: (u32, u32) = (760, 420);

/// Points with a line through them, and some of them marked.
pub(super) struct Picture {
    title: String,
    x: &'static str,
    y: &'static str,
    points: Vec<(f64, f64)>,
    marked: Vec<(f64, f64)>,
    /// What the two kinds of points are.
    names: [&'static str; 2],
}

/// The best prompt's estimate after each round, and what it came to on test examples.
pub(super) fn course(summary: &InstructSummary) -> Option<Picture> {
    let rounds = summary.trajectory.iter();
    let points: Vec<(f64, f64)> = rounds.map(|r| (r.calls as f64, r.estimate)).collect();
    let last = points.last()?.0;
    let test = summary.chosen.as_ref().and_then(|c| c.test);
    Some(Picture {
        title: format!("{}: the best prompt by then", summary.name),
        x: "calls of the target",
        y: "mean grade",
        marked: test.map(|e| (last, e.mean)).into_iter().collect(),
        points,
        names: [
            "as believed during the search",
            "chosen prompt on test examples",
        ],
    })
}

/// Prompts of which none is better, shorter and cheaper: two may lie under a third that costs more.
pub(super) fn front(summary: &InstructSummary) -> Option<Picture> {
    let place = |p: &coordinator::summary::FrontPoint| (p.tokens, p.estimate);
    let mut points: Vec<(f64, f64)> = summary.front.iter().map(place).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let chosen = summary.front.iter().filter(|p| p.chosen);
    (points.len() > 1).then(|| Picture {
        title: format!(
            "{}: prompts that no other beats in grade, length and cost",
            summary.name
        ),
        x: "length of the prompt (tokens)",
        y: "mean grade, as believed",
        marked: chosen.map(place).collect(),
        points,
        names: ["front", "chosen"],
    })
}

impl Picture {
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
        let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let all = || self.points.iter().chain(&self.marked);
        let xs = range(all().map(|p| p.0));
        let ys = range(all().map(|p| p.1));
        let mut chart = ChartBuilder::on(&root)
            .caption(&self.title, words(17))
            .margin(14)
            .x_label_area_size(42)
            .y_label_area_size(56)
            .build_cartesian_2d(xs.0..xs.1, ys.0..ys.1)?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .x_desc(self.x)
            .y_desc(self.y)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .label_style(words(13))
            .draw()?;
        let [line, mark, _] = COLOURS;
        chart.draw_series(LineSeries::new(self.points.iter().copied(), &line))?;
        let kinds = [(&self.points, 3, line), (&self.marked, 6, mark)];
        for ((points, size, colour), name) in kinds.into_iter().zip(self.names) {
            let dot = move |at: (f64, f64)| dot(at, size, colour);
            let dots = points.iter().map(|p| dot(*p));
            let key = move |(x, y)| Circle::new((x + 9, y), size, colour.filled());
            chart.draw_series(dots)?.label(name).legend(key);
        }
        chart
            .configure_series_labels()
            .background_style(WHITE.mix(0.8))
            .label_font(words(13))
            .draw()?;
        root.present()?;
        Ok(())
    }
}

fn dot(at: (f64, f64), size: i32, colour: RGBColor) -> Circle<(f64, f64), i32> {
    Circle::new(at, size, colour.filled())
}

/// From the lowest to the highest, with some room.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let ends = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| {
        (low.min(x), high.max(x))
    });
    let room = ((ends.1 - ends.0) * 0.08).max(0.01);
    (ends.0 - room, ends.1 + room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_drawn_and_the_chosen_one_is_marked() {
        let picture = Picture {
            title: "a <search>".to_owned(),
            x: "tokens",
            y: "grade",
            points: vec![(10.0, 0.6), (40.0, 0.7), (90.0, 0.75)],
            marked: vec![(40.0, 0.7)],
            names: ["front", "chosen"],
        };
        let svg = picture.svg().unwrap();
        for words in ["a &lt;search&gt;", "front", "chosen", "tokens"] {
            assert!(svg.contains(words), "{words}");
        }
        // Three points, one mark, two in the key.
        assert_eq!(svg.matches("<circle").count(), 6);
        assert_eq!(range([2.0, 2.0].into_iter()), (1.99, 2.01));
    }
}
