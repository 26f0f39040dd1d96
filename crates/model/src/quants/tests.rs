use super::*;
use candle_core::{
    Device, Tensor,
    quantized::{GgmlDType, QTensor},
};

fn numbers(count: usize, salt: usize) -> Vec<f32> {
    let number = |i: usize| ((i * 7919 + salt * 104_729) % 2003) as f32 / 1000.0 - 1.0;
    (0..count).map(number).collect()
}

fn quantised(kind: GgmlDType, rows: usize, columns: usize) -> QTensor {
    let dense = Tensor::from_vec(numbers(rows * columns, 1), (rows, columns), &Device::Cpu);
    QTensor::quantize(&dense.unwrap(), kind).unwrap()
}

const KINDS: [GgmlDType; 5] = [
    GgmlDType::Q4_0,
    GgmlDType::Q4_1,
    GgmlDType::Q5_0,
    GgmlDType::Q5_1,
    GgmlDType::Q8_0,
];

#[test]
fn blocks_hold_the_numbers_of_the_file() {
    for kind in KINDS {
        assert!(is_read(kind));
        let tensor = quantised(kind, 3, 96);
        let dense = tensor.dequantize(&Device::Cpu).unwrap();
        let want: Vec<f32> = dense.flatten_all().unwrap().to_vec1().unwrap();
        let blocks = read(&tensor).unwrap();
        let got = blocks.iter().flat_map(|block| {
            let number = |n: &i8| f32::from(*n) * block.scale + block.least;
            block.numbers.iter().map(number).collect::<Vec<_>>()
        });
        assert_eq!(got.collect::<Vec<_>>(), want, "{kind:?}");
    }
}

#[test]
fn products_are_near_the_exact_ones_and_the_same_in_any_company() {
    for kind in KINDS {
        for (rows, columns) in [(1, 32), (32, 64), (33, 96), (100, 1024)] {
            let tensor = quantised(kind, rows, columns);
            let dense = tensor.dequantize(&Device::Cpu).unwrap();
            let dense: Vec<f32> = dense.flatten_all().unwrap().to_vec1().unwrap();
            let quants = Quants::new(&read(&tensor).unwrap(), columns);
            let x = numbers(29 * columns, 2);
            let all = quants.product(&x);
            for (x, got) in x.chunks(columns).zip(all.chunks(rows)) {
                for (got, row) in got.iter().zip(dense.chunks(columns)) {
                    let terms = x.iter().zip(row).map(|(a, b)| f64::from(a * b));
                    let (want, size) = terms.fold((0.0, 0.0), |(s, t), v| (s + v, t + v.abs()));
                    let off = (f64::from(*got) - want).abs();
                    assert!(off < 2e-5 * (size + 0.1), "{kind:?}: {got} and not {want}");
                }
            }
            for n in [1, 2, 3, 4, 5, 7, 12, 13] {
                let some = quants.product(&x[..n * columns]);
                let same = some
                    .iter()
                    .zip(&all)
                    .all(|(a, b)| a.to_bits() == b.to_bits());
                assert!(same, "{kind:?} {rows} {columns} {n}");
            }
        }
    }
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    let columns = 96;
    for kind in [GgmlDType::Q4_1, GgmlDType::Q8_0] {
        let quants = Quants::new(&read(&quantised(kind, 64, columns)).unwrap(), columns);
        for n in [1, 2, 3, 4, 6, 8, 12] {
            let x = numbers(n * columns, 3);
            let want = quants.by_panel(&x, n, run);
            for way in product::others() {
                assert_eq!(quants.by_panel(&x, n, way), want, "{kind:?} {n}");
            }
        }
    }
}

#[test]
fn what_is_no_number_does_not_vanish() {
    let quants = Quants::new(&read(&quantised(GgmlDType::Q8_0, 4, 64)).unwrap(), 64);
    for bad in [f32::NAN, f32::INFINITY] {
        let mut x = vec![1.0; 64];
        x[40] = bad;
        assert!(quants.product(&x).iter().all(|v| v.is_nan()));
    }
    assert!(quants.product(&[0.0; 64]).iter().all(|v| *v == 0.0));
    let tiny = quants.product(&[1e-38; 64]);
    assert!(tiny.iter().all(|v| v.abs() < 1e-30));
}
