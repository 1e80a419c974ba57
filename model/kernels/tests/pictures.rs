//! Convolutions and norms: close to f64, and the same bits for a picture or row among any others, by any
//! set and threads.

mod kit;

use kit::{Random, assert_close, bits, machines};
use reverie_kernels::{
    Activation, Conv2d, ConvGeometry, ConvSize, Cpu, GroupNorm, GroupNormShape, LayerNorm, Padding,
    Plane, RmsNorm, Store,
};

/// Direct convolution in f64 of one picture (height, width, in), grown to `plane` first.
fn convolve(
    xs: &[f32],
    weight: &[f32],
    (output, input): (usize, usize),
    geometry: ConvGeometry,
    size: ConvSize,
) -> Vec<f64> {
    let ConvGeometry { kernel, stride, padding } = geometry;
    let out = geometry.output(size.plane);
    let (stored, plane) = (size.stored, size.plane);
    let mut wanted = Vec::new();
    for (y, x, channel) in (0..out.height).flat_map(|y| {
        (0..out.width).flat_map(move |x| (0..output).map(move |channel| (y, x, channel)))
    }) {
        let mut sum = 0.0;
        for (down, across, from) in (0..kernel)
            .flat_map(|y| (0..kernel).flat_map(move |x| (0..input).map(move |from| (y, x, from))))
        {
            let (row, column) = (y * stride + down, x * stride + across);
            if row < padding.near || column < padding.near {
                continue;
            }
            let (row, column) = (row - padding.near, column - padding.near);
            if row >= plane.height || column >= plane.width {
                continue;
            }
            let row = row * stored.height / plane.height;
            let column = column * stored.width / plane.width;
            let pixel = xs[(row * stored.width + column) * input + from];
            let weight = weight[((channel * input + from) * kernel + down) * kernel + across];
            sum += f64::from(pixel) * f64::from(weight);
        }
        wanted.push(sum);
    }
    wanted
}

fn geometries() -> [ConvGeometry; 4] {
    let around = |near, far| Padding { near, far };
    [
        ConvGeometry { kernel: 3, stride: 1, padding: around(1, 1) },
        ConvGeometry { kernel: 3, stride: 2, padding: around(1, 1) },
        ConvGeometry { kernel: 3, stride: 2, padding: around(0, 1) },
        ConvGeometry { kernel: 1, stride: 1, padding: around(0, 0) },
    ]
}

#[test]
fn convolutions_are_close_to_f64_and_each_picture_is_as_if_alone() {
    let mut random = Random(11);
    for round in 0..32 {
        let geometry = geometries()[round % 4];
        let (output, input) = (random.between(1, 40), [3, 4, 20, 64, 100][random.between(0, 4)]);
        let stored = Plane { height: random.between(3, 9), width: random.between(3, 9) };
        let plane = if round % 3 == 0 {
            Plane { height: 2 * stored.height, width: 2 * stored.width - 1 }
        } else {
            stored
        };
        let size = ConvSize { stored, plane, store: Store::Overwrite };
        let batch = random.between(1, 4);
        let weight = random.values(output * input * geometry.kernel * geometry.kernel);
        let layer = Conv2d::new(&weight, None, (output, input), geometry);
        let xs = random.values(batch * stored.pixels() * input);
        let pixels = geometry.output(plane).pixels();
        let mut together = vec![f32::NAN; batch * pixels * output];
        layer.forward(Cpu::detect(), &xs, size, &mut together);
        for cpu in machines() {
            let mut found = vec![f32::NAN; together.len()];
            layer.forward(cpu, &xs, size, &mut found);
            assert!(bits(&found) == bits(&together), "{geometry:?}, {cpu:?}");
        }
        let pictures = xs.chunks_exact(stored.pixels() * input);
        for (xs, together) in pictures.zip(together.chunks_exact(pixels * output)) {
            let mut alone = vec![f32::NAN; together.len()];
            layer.forward(Cpu::detect(), xs, size, &mut alone);
            assert!(bits(&alone) == bits(together), "{geometry:?}");
            let wanted = convolve(xs, &weight, (output, input), geometry, size);
            assert_close(&alone, &wanted, 3e-5);
        }
    }
}

#[test]
fn a_large_convolution_is_shared_out_without_a_bit_changing_and_bias_and_sum_are_added() {
    let mut random = Random(12);
    let geometry = geometries()[0];
    let plane = Plane { height: 16, width: 16 };
    let weight = random.values(48 * 64 * 9);
    let bias = random.values(48);
    let layer = Conv2d::new(&weight, Some(bias.clone()), (48, 64), geometry);
    let xs = random.values(2 * 256 * 64);
    let before = random.values(2 * 256 * 48);
    let size = ConvSize { stored: plane, plane, store: Store::Add };
    let compute = |threads| {
        let mut out = before.clone();
        layer.forward(Cpu { threads, ..Cpu::detect() }, &xs, size, &mut out);
        out
    };
    let serial = compute(1);
    for threads in [2, 3, 4] {
        assert!(bits(&compute(threads)) == bits(&serial), "{threads} threads");
    }
    let picture = convolve(&xs[..256 * 64], &weight, (48, 64), geometry, size);
    let wanted: Vec<f64> = picture
        .iter()
        .enumerate()
        .map(|(index, sum)| sum + f64::from(bias[index % 48]) + f64::from(before[index]))
        .collect();
    assert_close(&serial[..wanted.len()], &wanted, 3e-5);
}

#[test]
fn group_norm_is_close_to_f64_and_each_picture_is_as_if_alone() {
    let mut random = Random(13);
    for _ in 0..12 {
        let (groups, width) = (random.between(1, 8), random.between(1, 9));
        let channels = groups * width;
        let (pixels, batch) = (random.between(1, 200), random.between(1, 3));
        let (weight, bias) = (random.values(channels), random.values(channels));
        let norm = GroupNorm::new(weight.clone(), bias.clone(), groups, 1e-5);
        let xs: Vec<f32> =
            random.values(batch * pixels * channels).iter().map(|x| x * 3.0 + 5.0).collect();
        for then in [None, Some(Activation::Silu)] {
            let shape = GroupNormShape { pixels, then };
            let forward = |cpu, xs: &[f32]| {
                let mut out = vec![f32::NAN; xs.len()];
                norm.forward(cpu, xs, shape, &mut out);
                out
            };
            let together = forward(Cpu::detect(), &xs);
            for cpu in machines() {
                assert!(bits(&forward(cpu, &xs)) == bits(&together), "{cpu:?}");
            }
            for (picture, together) in
                xs.chunks_exact(pixels * channels).zip(together.chunks_exact(pixels * channels))
            {
                assert!(bits(&forward(Cpu::detect(), picture)) == bits(together));
                let wanted = group_norm(picture, &weight, &bias, groups, then.is_some());
                assert_close(together, &wanted, 2e-5);
            }
        }
    }
}

fn group_norm(xs: &[f32], weight: &[f32], bias: &[f32], groups: usize, silu: bool) -> Vec<f64> {
    let channels = weight.len();
    let width = channels / groups;
    let moments: Vec<(f64, f64)> = (0..groups)
        .map(|group| {
            let own: Vec<f64> = xs
                .chunks_exact(channels)
                .flat_map(|pixel| pixel[group * width..][..width].iter().map(|x| f64::from(*x)))
                .collect();
            let mean = own.iter().sum::<f64>() / own.len() as f64;
            let square = own.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>();
            (mean, square / own.len() as f64)
        })
        .collect();
    let normal = |(index, x): (usize, &f32)| {
        let channel = index % channels;
        let (mean, variance) = moments[channel / width];
        let y = (f64::from(*x) - mean) / (variance + 1e-5).sqrt() * f64::from(weight[channel])
            + f64::from(bias[channel]);
        if silu { y / (1.0 + (-y).exp()) } else { y }
    };
    xs.iter().enumerate().map(normal).collect()
}

#[test]
fn row_norms_are_close_to_f64_and_each_row_is_as_if_alone() {
    let mut random = Random(14);
    for width in [1, 15, 16, 17, 100, 256, 1000] {
        let (weight, bias) = (random.values(width), random.values(width));
        let rms = RmsNorm::new(weight.clone(), 1e-6);
        let layer = LayerNorm::new(weight.clone(), bias.clone(), 1e-5);
        let xs: Vec<f32> = random.values(7 * width).iter().map(|x| x * 2.0 + 0.5).collect();
        let forward = |cpu, xs: &[f32]| {
            let (mut first, mut second) = (vec![f32::NAN; xs.len()], vec![f32::NAN; xs.len()]);
            rms.forward(cpu, xs, &mut first);
            layer.forward(cpu, xs, &mut second);
            (first, second)
        };
        let together = forward(Cpu::detect(), &xs);
        for cpu in machines() {
            let found = forward(cpu, &xs);
            assert!(bits(&found.0) == bits(&together.0) && bits(&found.1) == bits(&together.1));
        }
        for (index, row) in xs.chunks_exact(width).enumerate() {
            let own = index * width..(index + 1) * width;
            let alone = forward(Cpu::detect(), row);
            assert!(bits(&alone.0) == bits(&together.0[own.clone()]), "width {width}");
            assert!(bits(&alone.1) == bits(&together.1[own]), "width {width}");
            let wide: Vec<f64> = row.iter().map(|x| f64::from(*x)).collect();
            let count = width as f64;
            let root = (wide.iter().map(|x| x * x).sum::<f64>() / count + 1e-6).sqrt();
            let mean = wide.iter().sum::<f64>() / count;
            let variance = wide.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
            let parts = wide.iter().zip(&weight);
            let wanted: Vec<f64> = parts.map(|(x, weight)| x / root * f64::from(*weight)).collect();
            assert_close(&alone.0, &wanted, 3e-6);
            let root = (variance + 1e-5).sqrt();
            let parts = wide.iter().zip(weight.iter().zip(&bias));
            let wanted: Vec<f64> = parts
                .map(|(x, (weight, bias))| {
                    (x - mean) / root * f64::from(*weight) + f64::from(*bias)
                })
                .collect();
            // A single element differs from its mean by nothing; rounding there is all there is.
            assert_close(&alone.1, &wanted, 1e-5);
        }
    }
}

#[test]
fn what_is_no_number_stays_in_its_picture() {
    let mut random = Random(15);
    let norm = GroupNorm::new(vec![1.0; 8], vec![0.0; 8], 2, 1e-5);
    let mut xs = random.values(2 * 20 * 8);
    xs[20 * 8 + 5] = f32::NAN; // second picture, second group
    let mut out = vec![0.0; xs.len()];
    let shape = GroupNormShape { pixels: 20, then: Some(Activation::Silu) };
    norm.forward(Cpu::detect(), &xs, shape, &mut out);
    for (index, value) in out.iter().enumerate() {
        let touched = index >= 20 * 8 && index % 8 >= 4;
        assert_eq!(value.is_nan(), touched, "[{index}]");
    }
}
