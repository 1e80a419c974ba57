//! Rotary position embeddings on one position's heads. Knows angles, not positions.

/// Turns the heads `xs`, (heads, 2 · half), by the angles whose cosines and sines, (half), are given:
/// element i of the first half with element i of the second (RoFormer, Su et al. 2021, eq. 34).
pub fn rotate_half(xs: &mut [f32], cos: &[f32], sin: &[f32]) {
    for head in xs.chunks_exact_mut(2 * cos.len()) {
        let (first, second) = head.split_at_mut(cos.len());
        for (((a, b), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
            (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
        }
    }
}
