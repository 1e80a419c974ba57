//! Times the kernels against candle's, operation by operation, in interleaved pairs; prints the median of
//! each and of the ratios. Arguments are prefixes of the names to run; without any, all but `large` run.
//! `isa=NAME` takes another instruction set than the widest.
#![expect(clippy::print_stdout, reason = "prints a table")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::{D, DType, Device, Module, Result, Tensor};
use candle_nn::ops;
use reverie_kernels::{
    Activation, CausalRow, Conv2d, ConvGeometry, ConvSize, Cpu, GroupNorm, GroupNormShape,
    HeadShape, Isa, KeyValueBlock, KeyValueShape, Linear, Padding, Plane, Store, activate,
    causal_attention, full_attention,
};

/// Time for one pair of measurements of one side.
const SPAN: Duration = Duration::from_millis(12);
const PAIRS: usize = 7;

struct Table {
    wanted: Vec<String>,
    cpu: Cpu,
}

impl Table {
    fn wants(&self, name: &str) -> bool {
        if self.wanted.is_empty() {
            return !name.starts_with("large");
        }
        self.wanted.iter().any(|prefix| name.starts_with(prefix.as_str()))
    }

    /// One line: `multiply_adds` of work by either side.
    fn compare(
        &self,
        name: &str,
        multiply_adds: usize,
        mut ours: impl FnMut(),
        mut candle: impl FnMut(),
    ) {
        let (our_calls, candle_calls) = (calls(&mut ours), calls(&mut candle));
        let mut times = [const { Vec::new() }; 3];
        for _ in 0..PAIRS {
            let ours = time(our_calls, &mut ours);
            let candle = time(candle_calls, &mut candle);
            times[0].push(ours);
            times[1].push(candle);
            times[2].push(candle / ours);
        }
        let [ours, candle, ratio] = times.map(median);
        let rate = 2.0 * multiply_adds as f64 / ours / 1e9;
        println!("{name:<38} {:>10.1} {:>10.1} {ratio:>7.2} {rate:>8.1}", ours * 1e6, candle * 1e6);
    }
}

/// How often to call so that one measurement lasts [`SPAN`].
fn calls(work: &mut impl FnMut()) -> usize {
    work();
    let one = time(1, work);
    ((SPAN.as_secs_f64() / one) as usize).clamp(1, 10_000)
}

fn time(calls: usize, work: &mut impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..calls {
        work();
    }
    start.elapsed().as_secs_f64() / calls as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn random(len: usize) -> Vec<f32> {
    (0..len).map(|index| (index as f32 * 0.618_034).fract() - 0.5).collect()
}

fn tensor(shape: &[usize]) -> Result<Tensor> {
    Tensor::from_vec(random(shape.iter().product()), shape, &Device::Cpu)
}

fn linear(table: &Table, group: &str, shapes: &[(usize, usize)], rows: &[usize]) -> Result<()> {
    for &(output, input) in shapes {
        for &rows in rows {
            let name = format!("{group} linear {input}x{output} M={rows}");
            if !table.wants(&name) {
                continue;
            }
            let weight = random(output * input);
            let ours = Linear::new(&weight, None, (output, input));
            let candle = candle_nn::Linear::new(
                Tensor::from_vec(weight, (output, input), &Device::Cpu)?,
                None,
            );
            let (xs, tensor) = (random(rows * input), tensor(&[rows, input])?);
            table.compare(
                &name,
                rows * input * output,
                || {
                    let mut out = vec![0.0; rows * output];
                    ours.forward(table.cpu, &xs, Store::Overwrite, &mut out);
                    black_box(out);
                },
                || {
                    black_box(candle.forward(&tensor).expect("candle computes"));
                },
            );
        }
    }
    Ok(())
}

fn conv(
    table: &Table,
    group: &str,
    shapes: &[(usize, usize, usize)],
    batches: &[usize],
) -> Result<()> {
    for &(output, input, side) in shapes {
        for &batch in batches {
            let name = format!("{group} conv {input}->{output} @{side} B={batch}");
            if !table.wants(&name) {
                continue;
            }
            let weight = random(output * input * 9);
            let padding = Padding { near: 1, far: 1 };
            let geometry = ConvGeometry { kernel: 3, stride: 1, padding };
            let ours = Conv2d::new(&weight, None, (output, input), geometry);
            let kernel = Tensor::from_vec(weight, (output, input, 3, 3), &Device::Cpu)?;
            let (xs, tensor) =
                (random(batch * side * side * input), tensor(&[batch, input, side, side])?);
            let stored = Plane { height: side, width: side };
            let size = ConvSize { stored, plane: stored, store: Store::Overwrite };
            table.compare(
                &name,
                batch * side * side * output * input * 9,
                || {
                    let mut out = vec![0.0; batch * side * side * output];
                    ours.forward(table.cpu, &xs, size, &mut out);
                    black_box(out);
                },
                || {
                    black_box(tensor.conv2d(&kernel, 1, 1, 1, 1).expect("candle computes"));
                },
            );
        }
    }
    Ok(())
}

fn attention(table: &Table, cases: &[(&str, usize, usize, usize, usize, usize)]) -> Result<()> {
    for &(group, batch, heads, queries, keys, head_dim) in cases {
        let name = format!("{group} attention b{batch} h{heads} {queries}x{keys} d{head_dim}");
        if !table.wants(&name) {
            continue;
        }
        let width = heads * head_dim;
        let shape = HeadShape { heads, kv_heads: heads, head_dim };
        let (q, kv) = (random(batch * queries * width), random(batch * keys * width));
        let by_head = |len| tensor(&[batch, heads, len, head_dim]);
        let (query, key, value) = (by_head(queries)?, by_head(keys)?, by_head(keys)?);
        table.compare(
            &name,
            2 * batch * queries * keys * width,
            || {
                let mut out = vec![0.0; q.len()];
                full_attention(table.cpu, shape, batch, (&q, &kv, &kv), &mut out);
                black_box(out);
            },
            || {
                black_box(plain_attention(&query, &key, &value).expect("candle computes"));
            },
        );
    }
    Ok(())
}

fn plain_attention(query: &Tensor, key: &Tensor, value: &Tensor) -> Result<Tensor> {
    let scores = (query.matmul(&key.transpose(D::Minus2, D::Minus1)?)? * 0.1)?;
    ops::softmax_last_dim(&scores)?.matmul(value)
}

fn decode(table: &Table, cases: &[(&str, usize, usize, usize, usize)]) -> Result<()> {
    for &(group, rows, heads, keys, head_dim) in cases {
        let name = format!("{group} decode rows={rows} h{heads} past={keys} d{head_dim}");
        if !table.wants(&name) {
            continue;
        }
        let width = heads * head_dim;
        let shape = HeadShape { heads, kv_heads: heads, head_dim };
        let kv = KeyValueShape { layers: 1, kv_heads: heads, head_dim };
        let block = |_| {
            let mut block = KeyValueBlock::new(kv);
            for slot in 0..KeyValueBlock::POSITIONS {
                block.write(0, slot, &random(width), &random(width));
            }
            Arc::new(block)
        };
        let blocks: Vec<_> = (0..keys.div_ceil(KeyValueBlock::POSITIONS)).map(block).collect();
        let queries = random(width);
        let batch = vec![CausalRow { queries: &queries, past: keys - 1, blocks: &blocks }; rows];
        let query = tensor(&[heads, 1, head_dim])?;
        let (key, value) = (tensor(&[heads, keys, head_dim])?, tensor(&[heads, keys, head_dim])?);
        table.compare(
            &name,
            2 * rows * keys * width,
            || {
                let mut out = vec![0.0; rows * width];
                causal_attention(table.cpu, (shape, 0), &batch, &mut out);
                black_box(out);
            },
            || {
                for _ in 0..rows {
                    black_box(plain_attention(&query, &key, &value).expect("candle computes"));
                }
            },
        );
    }
    Ok(())
}

fn elementwise(table: &Table) -> Result<()> {
    for (group, batch, channels, side) in
        [("small", 8, 64, 16), ("small", 1, 16, 64), ("large", 2, 320, 64)]
    {
        let pixels = side * side;
        let len = batch * channels * pixels;
        let (xs, tensor) = (random(len), tensor(&[batch, channels, side, side])?);
        let name = format!("{group} group norm b{batch} {channels}@{side}");
        if table.wants(&name) {
            let ours = GroupNorm::new(vec![1.0; channels], vec![0.0; channels], 16, 1e-5);
            let ones = Tensor::ones(channels, DType::F32, &Device::Cpu)?;
            let candle =
                candle_nn::GroupNorm::new(ones.clone(), ones.zeros_like()?, channels, 16, 1e-5)?;
            table.compare(
                &name,
                len,
                || {
                    let mut out = vec![0.0; len];
                    let shape = GroupNormShape { pixels, then: Some(Activation::Silu) };
                    ours.forward(table.cpu, &xs, shape, &mut out);
                    black_box(out);
                },
                || {
                    let normed = candle.forward(&tensor).expect("candle computes");
                    black_box(normed.silu().expect("candle computes"));
                },
            );
        }
        let name = format!("{group} gelu {len}");
        if table.wants(&name) {
            table.compare(
                &name,
                len,
                || {
                    let mut out = xs.clone();
                    activate(table.cpu, Activation::Gelu, &mut out);
                    black_box(out);
                },
                || {
                    black_box(tensor.gelu_erf().expect("candle computes"));
                },
            );
        }
    }
    Ok(())
}

fn main() -> Result<()> {
    let mut cpu = Cpu::detect();
    let mut wanted = Vec::new();
    for argument in std::env::args().skip(1) {
        match argument.strip_prefix("isa=") {
            Some(name) => match Isa::available().into_iter().find(|isa| isa.name() == name) {
                Some(isa) => cpu.isa = isa,
                None => candle_core::bail!("this machine has no {name}"),
            },
            None => wanted.push(argument),
        }
    }
    let table = Table { wanted, cpu };
    println!("{} with {} threads", table.cpu.isa.name(), table.cpu.threads);
    println!("{:<38} {:>10} {:>10} {:>7} {:>8}", "", "ours us", "candle us", "ratio", "GFLOP/s");
    let rows = [1, 2, 3, 4, 8, 16, 64];
    linear(&table, "small", &[(256, 256), (1280, 256), (256, 640), (1024, 256)], &rows)?;
    linear(&table, "small", &[(384, 128), (128, 512)], &[17, 68])?;
    linear(&table, "large", &[(4096, 4096), (11008, 4096)], &[1, 2, 4, 8, 16, 64, 512])?;
    conv(
        &table,
        "small",
        &[(64, 64, 16), (96, 96, 8), (96, 192, 8), (96, 96, 4), (4, 64, 16)],
        &[1, 2, 16],
    )?;
    conv(
        &table,
        "small",
        &[(64, 64, 8), (32, 64, 32), (16, 32, 64), (16, 16, 64), (3, 16, 64)],
        &[1, 4],
    )?;
    conv(&table, "large", &[(320, 320, 64), (640, 640, 32), (1280, 1280, 16)], &[2])?;
    attention(
        &table,
        &[
            ("small", 2, 4, 256, 256, 16),
            ("small", 16, 4, 64, 64, 24),
            ("small", 2, 4, 256, 8, 16),
            ("small", 1, 4, 17, 17, 32),
            ("small", 1, 1, 256, 256, 64),
            ("large", 2, 10, 1024, 1024, 64),
            ("large", 2, 5, 4096, 77, 64),
        ],
    )?;
    decode(
        &table,
        &[("small", 1, 8, 100, 32), ("small", 8, 8, 300, 32), ("large", 8, 32, 1024, 128)],
    )?;
    elementwise(&table)
}
