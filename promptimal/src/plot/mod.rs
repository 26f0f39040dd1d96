//! Results as pictures: SVG files beside the numbers that they show.

mod gains;
mod loss;
mod search;

pub use loss::Losses;

use anyhow::Context;
use coordinator::summary::Shown;
use plotters::{
    prelude::{IntoFont, RGBColor, TextStyle},
    style::BLACK,
};
use std::{fs, path::Path};

/// How a training went.
pub const LOSS: &str = "loss.svg";
/// What prompts gained.
const GAINS: &str = "gains.svg";
/// What a search for one instruction believed, and when.
const COURSE: &str = "search.svg";
/// The prompts that no other beats in accuracy and length.
const FRONT: &str = "front.svg";

/// Colours that differ in lightness too, for who sees them alike.
const COLOURS: [RGBColor; 3] = [
    RGBColor(0, 90, 160),
    RGBColor(225, 120, 0),
    RGBColor(120, 120, 120),
];

fn words(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&BLACK)
}

/// What there is to draw of a result.
#[derive(Debug, Default)]
pub struct Plots {
    files: Vec<(&'static str, String)>,
}

impl Plots {
    /// The gains of a result and the losses of its training, where it has them.
    ///
    /// # Errors
    /// When a picture cannot be drawn.
    pub fn of(shown: &Shown, losses: Option<&Losses>) -> anyhow::Result<Self> {
        let mut plots = losses.map_or_else(|| Ok(Self::default()), Self::of_training)?;
        if let Some(chart) = gains::of(shown) {
            plots.files.push((GAINS, chart.svg()?));
        }
        if let Shown::Instruct(summary) = shown {
            let pictures = [
                (COURSE, search::course(summary)),
                (FRONT, search::front(summary)),
            ];
            for (name, picture) in pictures {
                if let Some(picture) = picture {
                    plots.files.push((name, picture.svg()?));
                }
            }
        }
        Ok(plots)
    }

    /// The losses of a training alone.
    ///
    /// # Errors
    /// When the picture cannot be drawn.
    pub fn of_training(losses: &Losses) -> anyhow::Result<Self> {
        let drawn = (!losses.steps.is_empty()).then(|| losses.svg());
        let drawn = drawn.transpose()?.map(|svg| (LOSS, svg));
        Ok(Self {
            files: drawn.into_iter().collect(),
        })
    }

    /// Writes the pictures to a folder, in the place of older ones, and gives their names.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self, dir: &Path) -> anyhow::Result<Vec<&'static str>> {
        fs::create_dir_all(dir).with_context(|| format!("--plots {}", dir.display()))?;
        for (name, svg) in &self.files {
            let file = dir.join(name);
            fs::write(&file, svg).with_context(|| format!("--plots: {}", file.display()))?;
        }
        Ok(self.files.iter().map(|(name, _)| *name).collect())
    }
}
