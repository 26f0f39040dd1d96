//! The loss of preference pairs.

use candle_core::{DType, Result, Tensor};

/// The mean of -ln sigmoid(chosen - rejected): the loss of pairs under the model of Bradley and Terry.
pub(crate) fn pairwise_loss(chosen: &Tensor, rejected: &Tensor) -> Result<Tensor> {
    let lead = (chosen - rejected)?;
    // ln(1 + e^-x) = max(-x, 0) + ln(1 + e^-|x|): no overflow either way.
    let far = lead.neg()?.relu()?;
    let near = (lead.abs()?.neg()?.exp()? + 1.0)?.log()?;
    (far + near)?.to_dtype(DType::F32)?.mean_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn the_loss_is_the_logistic_one_without_overflow() {
        let device = &Device::Cpu;
        let chosen = Tensor::new(&[1.0f32, -300.0, 300.0], device).unwrap();
        let rejected = Tensor::new(&[0.5f32, 300.0, -300.0], device).unwrap();
        let loss = pairwise_loss(&chosen, &rejected)
            .unwrap()
            .to_scalar::<f32>()
            .unwrap();
        let want = ((1.0 + (-0.5f32).exp()).ln() + 600.0) / 3.0;
        assert!((loss - want).abs() < 1e-3, "{loss} {want}");
    }
}
