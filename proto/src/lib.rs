//! What travels on Reverie's wire: OpenAI-shaped requests, answers, chunks and errors.
//!
//! The promise: every field here keeps its name and meaning; new ones may be added to answers, and
//! only optional ones to requests. This crate knows no limits, no defaults, no HTTP and no model: a
//! request is what the client typed, with `None` for "you decide".

pub mod capabilities;
pub mod chat_answer;
pub mod chat_request;
pub mod completion;
pub mod error_body;
mod form;
pub mod image_answer;
pub mod image_request;
pub mod logit_bias;
pub mod logprobs;
pub mod message;
pub mod model_list;
pub mod parse;
pub mod provenance;
pub mod response_answer;
pub mod response_format;
pub mod response_item;
pub mod response_request;
mod schema;
pub mod tokenization;
mod unknown;

pub use capabilities::{Capabilities, CapabilityDefaults, CapabilityLimits, ContextPositions};
pub use chat_answer::{
    AnswerMessage, ChatCompletion, ChatCompletionChunk, Choice, ChunkChoice, Delta, DrawingTrace,
    EffectiveParameters, FinishDetails, FinishReason, ImageUsage, PictureProgress,
    TruncationReport, Usage,
};
pub use chat_request::{
    ChatCompletionRequest, ImageChoice, ImageContent, ImageDelivery, ImageFormat, Modality,
    ProgressWish, ProvenanceWish, Sampler, Stop, StreamOptions, Truncation,
};
pub use completion::{Completion, CompletionChoice, CompletionPrompt, CompletionRequest};
pub use error_body::{ErrorBody, ErrorDetail};
pub use image_answer::{
    ImageData, ImagePartialEvent, ImagePartialEventType, ImageStreamEvent, ImageStreamEventType,
    ImagesAnswer, ImagesTokensDetails, ImagesUsage,
};
pub use image_request::{
    Background, ImageReference, ImageRequest, ImageResponseFormat, Moderation, Quality, Style,
};
pub use logit_bias::LogitBias;
pub use logprobs::{ChatLogprobs, CompletionLogprobs, TokenLogprob, TopByText, TopLogprob};
pub use message::{
    Content, ContentPart, Detail, ImageItem, ImageUrl, Message, OrderedPart,
    ProviderSpecificFields, Role,
};
pub use model_list::{ModelAbility, ModelCard, ModelList};
pub use parse::ParseError;
pub use provenance::{PictureDigest, PictureProvenance, Provenance, Recipe};
pub use response_answer::{
    CallPlace, DeletedResponse, IncompleteDetails, IncompleteReason, InputItemList, Response,
    ResponseError, ResponseEvent, ResponseHappening, ResponseStatus, ResponseUsage, TextPlace,
};
pub use response_format::ResponseFormat;
pub use response_item::{InputItem, InputPart, ItemStatus, OutputItem, OutputText, ResponseInput};
pub use response_request::{
    ImageTool, Reasoning, ResponseRequest, ResponseToolChoice, TextConfig, TextFormat,
};
pub use tokenization::{DetokenizeAnswer, DetokenizeRequest, TokenizeAnswer, TokenizeRequest};
pub use unknown::without_unknown_fields;
