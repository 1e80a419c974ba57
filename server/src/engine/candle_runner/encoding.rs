//! Encode rows: pictures to blocks, each content once for a tenant as long as it is remembered. Knows
//! pictures by their content only.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::Tensor;
use reverie_model::{ModelError, Picture};
use reverie_scheduler::EncodeRow;

use super::feature_cache::PictureKey;
use super::{CandleRunner, model_error};
use crate::engine::runner::StepOutput;

impl CandleRunner {
    /// Gives every row's picture its block.
    pub(super) fn encode(
        &mut self,
        rows: &[EncodeRow],
        output: &mut StepOutput,
    ) -> Result<(), ModelError> {
        let mut blocks: BTreeMap<PictureKey, Tensor> = BTreeMap::new();
        let mut new: BTreeMap<PictureKey, Arc<Picture>> = BTreeMap::new();
        for row in rows {
            let (key, picture) = self.picture(row);
            if let Some(block) = self.features.find(&key) {
                blocks.insert(key, block);
            } else {
                new.insert(key, picture);
            }
        }
        self.counters.encoded_pictures += new.len() as u64;
        let pictures: Vec<&Picture> = new.values().map(|picture| &**picture).collect();
        let features = if pictures.is_empty() {
            Vec::new()
        } else {
            self.model.vision()?.encode(&pictures)?
        };
        for (key, features) in new.keys().zip(&features) {
            if ModelError::unless_all_finite("vision", features).is_ok() {
                let block = self.model.image_block(features)?;
                self.features.insert(*key, block.clone());
                blocks.insert(*key, block);
            }
        }
        for row in rows {
            let (key, _) = self.picture(row);
            match blocks.get(&key) {
                Some(block) => {
                    let context = self.sequence(row.sequence).context_mut(row.branch);
                    context.pictures[row.picture].block = Some(block.clone());
                }
                None => {
                    let error = ModelError::NotFinite { stage: "vision" };
                    output.fail(row.sequence, model_error(error));
                }
            }
        }
        Ok(())
    }

    fn picture(&self, row: &EncodeRow) -> (PictureKey, Arc<Picture>) {
        let sequence = &self.sequences[&row.sequence];
        let known = &sequence.context(row.branch).pictures[row.picture];
        ((sequence.request.tenant, known.content), Arc::clone(&known.picture))
    }
}
