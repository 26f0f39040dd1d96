//! In which order texts are read: a function of the seed and the epoch, so that a position is one number.

use crate::batch::Text;
use domain::hash::Hash;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Batches of like length are chosen among so many batches' texts: batches are others in each epoch.
const STRETCH: usize = 16;

/// The order of the texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Drawn anew for each epoch, texts of like length together: little of a batch is padding.
    #[default]
    ByLength,
    /// Drawn anew for each epoch.
    Drawn,
    /// As they are given: for comparisons with other programs.
    Given,
}

/// All texts once, in batches: their places.
pub(crate) fn epoch(
    texts: &[Text],
    batch: usize,
    order: Order,
    seed: u64,
    epoch: usize,
) -> Vec<Vec<usize>> {
    let mut places: Vec<usize> = (0..texts.len()).collect();
    if order == Order::Given {
        return places.chunks(batch).map(<[usize]>::to_vec).collect();
    }
    let parts = [
        b"order".to_vec(),
        seed.to_le_bytes().to_vec(),
        epoch.to_le_bytes().to_vec(),
    ];
    let mut draws = ChaCha8Rng::seed_from_u64(Hash::of(parts).seed());
    shuffle(&mut places, &mut draws);
    if order == Order::ByLength {
        for stretch in places.chunks_mut(batch * STRETCH) {
            stretch.sort_by_key(|i| texts[*i].ids.len());
        }
    }
    let mut batches: Vec<Vec<usize>> = places.chunks(batch).map(<[usize]>::to_vec).collect();
    shuffle(&mut batches, &mut draws);
    batches
}

/// Fisher and Yates.
fn shuffle<T>(items: &mut [T], draws: &mut ChaCha8Rng) {
    for i in (1..items.len()).rev() {
        // The bias of a remainder of 2^64 is nothing here.
        let j = (draws.next_u64() % (i as u64 + 1)) as usize;
        items.swap(i, j);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> Vec<Text> {
        let text = |i: usize| Text {
            ids: vec![1; i * 7 % 40 + 2],
            prompt: 1,
        };
        (0..103).map(text).collect()
    }

    #[test]
    fn every_text_comes_once_in_every_epoch_in_another_order() {
        let texts = texts();
        for order in [Order::ByLength, Order::Drawn, Order::Given] {
            let first = epoch(&texts, 4, order, 1, 0);
            assert_eq!(first, epoch(&texts, 4, order, 1, 0));
            let mut all: Vec<usize> = first.concat();
            all.sort_unstable();
            assert_eq!(all, (0..103).collect::<Vec<_>>());
            let drawn = order != Order::Given;
            assert_eq!(first != epoch(&texts, 4, order, 1, 1), drawn);
            assert_eq!(first != epoch(&texts, 4, order, 2, 0), drawn);
        }
    }

    #[test]
    fn like_lengths_stand_together() {
        let texts = texts();
        let padding = |order| -> usize {
            let of = |batch: &Vec<usize>| {
                let lengths = batch.iter().map(|i| texts[*i].ids.len());
                lengths.clone().max().unwrap_or(0) * batch.len() - lengths.sum::<usize>()
            };
            epoch(&texts, 4, order, 1, 0).iter().map(of).sum()
        };
        assert!(padding(Order::ByLength) * 4 < padding(Order::Drawn));
    }
}
