//! Linear layers: close to f64, and the same bits for a row among any others, by any set and threads.

mod kit;

use kit::{Random, assert_close, bits, machines};
use reverie_kernels::{Cpu, Linear, Store};

struct Case {
    weight: Vec<f32>,
    bias: Option<Vec<f32>>,
    xs: Vec<f32>,
    shape: (usize, usize),
}

fn case(random: &mut Random, rows: usize, (output, input): (usize, usize)) -> Case {
    let weight = random.values(output * input);
    let bias = random.next().is_multiple_of(2).then(|| random.values(output));
    Case { weight, bias, xs: random.values(rows * input), shape: (output, input) }
}

fn reference(case: &Case) -> Vec<f64> {
    let (output, input) = case.shape;
    let mut wanted = Vec::new();
    for row in case.xs.chunks_exact(input) {
        for (column, weight) in case.weight.chunks_exact(input).enumerate() {
            let products = row.iter().zip(weight).map(|(x, w)| f64::from(*x) * f64::from(*w));
            let bias = case.bias.as_ref().map_or(0.0, |bias| f64::from(bias[column]));
            wanted.push(products.sum::<f64>() + bias);
        }
    }
    assert_eq!(wanted.len() * input, case.xs.len() * output);
    wanted
}

fn forward(case: &Case, layer: &Linear, cpu: Cpu, store: Store) -> Vec<f32> {
    let mut out = vec![0.25; case.xs.len() / case.shape.1 * case.shape.0];
    layer.forward(cpu, &case.xs, store, &mut out);
    out
}

#[test]
fn rows_are_close_to_f64_and_the_same_bits_alone_together_and_on_every_machine() {
    let mut random = Random(1);
    for round in 0..60 {
        let rows = random.between(1, 40);
        let shape = match round % 3 {
            0 => (random.between(1, 70), random.between(1, 40)),
            1 => (random.between(1, 300), random.between(200, 600)),
            _ => (16 * random.between(1, 12), 64 * random.between(1, 9)),
        };
        let case = case(&mut random, rows, shape);
        let layer = Linear::new(&case.weight, case.bias.clone(), shape);
        let wanted = forward(&case, &layer, Cpu::detect(), Store::Overwrite);
        assert_close(&wanted, &reference(&case), 2e-5);
        for cpu in machines() {
            let found = forward(&case, &layer, cpu, Store::Overwrite);
            assert!(bits(&found) == bits(&wanted), "{rows} rows, {shape:?}, {cpu:?}");
        }
        let cpu = Cpu::detect();
        for (row, xs) in case.xs.chunks_exact(shape.1).enumerate() {
            let mut alone = vec![f32::NAN; shape.0];
            layer.forward(cpu, xs, Store::Overwrite, &mut alone);
            assert!(
                bits(&alone) == bits(&wanted[row * shape.0..][..shape.0]),
                "row {row}, {shape:?}"
            );
        }
    }
}

#[test]
fn work_large_enough_for_threads_gives_the_same_bits_however_it_is_shared_out() {
    let mut random = Random(2);
    for (rows, shape) in [(1, (4100, 1030)), (7, (1000, 700)), (31, (500, 300)), (130, (200, 260))]
    {
        let case = case(&mut random, rows, shape);
        let layer = Linear::new(&case.weight, case.bias.clone(), shape);
        for store in [Store::Overwrite, Store::Add] {
            let wanted = forward(&case, &layer, Cpu { threads: 1, ..Cpu::detect() }, store);
            for threads in [2, 3, 4] {
                let found = forward(&case, &layer, Cpu { threads, ..Cpu::detect() }, store);
                assert!(bits(&found) == bits(&wanted), "{rows} rows, {threads} threads, {store:?}");
            }
        }
    }
}

#[test]
fn adding_adds_to_what_was_there() {
    let case = case(&mut Random(3), 5, (33, 20));
    let layer = Linear::new(&case.weight, case.bias.clone(), case.shape);
    let wanted: Vec<f64> = reference(&case).iter().map(|value| value + 0.25).collect();
    assert_close(&forward(&case, &layer, Cpu::detect(), Store::Add), &wanted, 1e-5);
}

#[test]
fn what_is_no_number_stays_in_its_row_and_reaches_every_column() {
    let mut case = case(&mut Random(4), 14, (40, 300));
    case.xs[3 * 300 + 299] = f32::NAN;
    for cpu in machines() {
        let layer = Linear::new(&case.weight, None, case.shape);
        let out = forward(&case, &layer, cpu, Store::Overwrite);
        for (row, out) in out.chunks_exact(40).enumerate() {
            assert!(out.iter().all(|value| value.is_nan() == (row == 3)), "row {row}, {cpu:?}");
        }
    }
}
