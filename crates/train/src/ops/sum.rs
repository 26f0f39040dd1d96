//! Sums in place by all threads: candle's run on one, and make new tensors.

use super::numbers;
use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Tensor, bail};
use rayon::prelude::*;

/// Numbers worked on by one thread at a time.
const CHUNK: usize = 1 << 14;

struct AddTo;

/// x += y for an x that nothing else reads, on the processor.
pub(crate) fn add_to(x: &Tensor, y: &Tensor) -> Result<()> {
    x.inplace_op2(&y.contiguous()?, &AddTo)
}

impl InplaceOp2 for AddTo {
    fn name(&self) -> &'static str {
        "add-to"
    }

    fn cpu_fwd(
        &self,
        x: &mut CpuStorage,
        at: &Layout,
        y: &CpuStorage,
        from: &Layout,
    ) -> Result<()> {
        let y = numbers(y, from)?;
        let (CpuStorage::F32(x), Some((start, end))) = (x, at.contiguous_offsets()) else {
            bail!("a sum in place needs f32 numbers that lie one after another")
        };
        let chunks = x[start..end].par_chunks_mut(CHUNK).zip(y.par_chunks(CHUNK));
        chunks.for_each(|(x, y)| {
            for (x, y) in x.iter_mut().zip(y) {
                *x += y;
            }
        });
        Ok(())
    }
}
