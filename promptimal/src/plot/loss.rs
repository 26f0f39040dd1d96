//! The losses of a training, step by step.

use super::{COLOURS, words};
use plotters::prelude::{
    ChartBuilder, Circle, Color, IntoDrawingArea, LineSeries, PathElement, SVGBackend, WHITE,
};
use wire::Trained;

const SIZE: (u32, u32) = (760, 420);

/// How the losses of a training fell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Losses {
    /// Whose they are.
    pub title: String,
    /// The mean loss of the tokens of each step, before it.
    pub steps: Vec<f64>,
    /// Steps done, and the mean loss of the validation tokens after them.
    pub validation: Vec<(usize, f64)>,
}

impl From<Trained> for Losses {
    fn from(trained: Trained) -> Self {
        let validation = trained.validation_losses.into_iter();
        let validation = validation.map(|(step, loss)| (step as usize, loss));
        Self::of(&trained.base, trained.losses, validation.collect())
    }
}

impl Losses {
    /// Those of the training of a rewriter on this base.
    pub fn of(base: &str, steps: Vec<f64>, validation: Vec<(usize, f64)>) -> Self {
        Self {
            title: format!("Loss of the rewriter for {base}"),
            steps,
            validation,
        }
    }

    /// The picture.
    ///
    /// # Errors
    /// When it cannot be drawn.
    pub fn svg(&self) -> anyhow::Result<String> {
        let mut svg = String::new();
        self.draw(&mut svg)?;
        Ok(svg)
    }

    fn draw(&self, svg: &mut String) -> anyhow::Result<()> {
        let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let steps = self.steps.len().max(1) as f64;
        let mut chart = ChartBuilder::on(&root)
            .caption(&self.title, words(17))
            .margin(14)
            .x_label_area_size(42)
            .y_label_area_size(56)
            .build_cartesian_2d(0.0..steps, 0.0..self.highest())?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .x_desc("step")
            .y_desc("mean loss of a token (nats)")
            .x_label_formatter(&|x| format!("{x:.0}"))
            .label_style(words(13))
            .draw()?;
        let [train, held, _] = COLOURS;
        let points = self.steps.iter().enumerate();
        let line = LineSeries::new(points.map(|(i, loss)| (i as f64, *loss)), &train);
        let key = move |(x, y)| PathElement::new([(x, y), (x + 18, y)], train);
        chart
            .draw_series(line)?
            .label("pairs learnt from")
            .legend(key);
        if !self.validation.is_empty() {
            let at = |(step, loss): &(usize, f64)| (*step as f64, *loss);
            let points: Vec<(f64, f64)> = self.validation.iter().map(at).collect();
            let dots = points.iter().map(|p| Circle::new(*p, 4, held.filled()));
            chart.draw_series(dots)?;
            let line = LineSeries::new(points.iter().copied(), &held);
            let key = move |(x, y)| Circle::new((x + 9, y), 4, held.filled());
            chart
                .draw_series(line)?
                .label("validation pairs")
                .legend(key);
        }
        chart
            .configure_series_labels()
            .background_style(WHITE.mix(0.8))
            .label_font(words(13))
            .draw()?;
        root.present()?;
        Ok(())
    }

    /// The upper end of the scale, which begins at 0: a fall looks as large as it is.
    fn highest(&self) -> f64 {
        let validation = self.validation.iter().map(|(_, loss)| loss);
        let all = self.steps.iter().chain(validation);
        let most = all.copied().filter(|x| x.is_finite()).fold(0.0, f64::max);
        if most > 0.0 { most * 1.08 } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_training_is_two_lines_with_their_names() {
        let losses = Losses {
            title: "rewriter <b>&".to_owned(),
            steps: (0..50).map(|i| 3.0 / (1.0 + f64::from(i))).collect(),
            validation: vec![(0, 3.0), (25, 1.2), (50, 0.9)],
        };
        let svg = losses.svg().unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        for words in ["pairs learnt from", "validation pairs", "&lt;b&gt;&amp;"] {
            assert!(svg.contains(words), "{words}");
        }
        assert!(!svg.contains("<b>"));
        assert_eq!(
            svg.matches("<polyline").count(),
            svg.matches("fill=\"none\"").count()
        );
    }

    #[test]
    fn numbers_that_are_none_do_not_stretch_the_scale() {
        let losses = Losses {
            steps: vec![2.0, f64::NAN, f64::INFINITY],
            ..Losses::default()
        };
        assert!((losses.highest() - 2.16).abs() < 1e-9);
        assert_eq!(Losses::default().highest(), 1.0);
    }
}
