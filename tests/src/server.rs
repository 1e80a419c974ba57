//! A whole Reverie in this process: a real checkpoint, a real port on the loopback, any noise and clock.
//! It ends when it is dropped. Knows how to be asked; judges no answer.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use reqwest::{Client, Response};
use reverie_model::Kernels;
use reverie_model::noise::{CounterNoise, NoiseSource};
use reverie_server::args::{DeviceChoice, DtypeChoice, ModelArgs};
use reverie_server::config::Config;
use reverie_server::daemon::{Daemon, serve_until};
use reverie_server::engine::document_engine::EngineStatus;
use reverie_server::engine::{Clock, SchedulerStats};
use reverie_server::shutdown::Signals;
use reverie_server::startup::PreparedModel;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::answer::{Stream, WholeAnswer};

/// The name that requests use for whatever is served.
pub const MODEL: &str = "under-test";

/// What a server is started with.
pub struct Setup {
    config: Config,
    noise: Box<dyn NoiseSource>,
    clock: Clock,
}

impl Setup {
    /// What `reverie serve --model FOLDER` would do, on a free port.
    ///
    /// # Panics
    /// If the loopback address does not parse.
    pub fn new(folder: &Path) -> Self {
        let mut config = Config::for_one_document(&ModelArgs {
            model: Some(folder.to_owned()),
            device: DeviceChoice::Cpu,
            dtype: DtypeChoice::F32,
            kernels: Kernels::Reverie,
            cache_dir: None,
            max_model_len: None,
        });
        config.listen = "127.0.0.1:0".parse().expect("an address");
        config.model.names = vec![MODEL.to_owned()];
        Self { config, noise: Box::new(CounterNoise), clock: Arc::new(Instant::now) }
    }

    /// With pictures that start from `noise`.
    #[must_use]
    pub fn noise(mut self, noise: impl NoiseSource + 'static) -> Self {
        self.noise = Box::new(noise);
        self
    }

    /// With another idea of the time.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// With other settings.
    #[must_use]
    pub fn configured(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Starts the server and waits until it can serve.
    ///
    /// # Panics
    /// If it cannot.
    pub async fn start(self) -> TestServer {
        let prepared = PreparedModel::open(
            self.config.model.folder.as_deref(),
            &std::env::temp_dir(),
            self.config.model.device,
            self.config.model.dtype,
        )
        .expect("a usable checkpoint")
        .with_kernels(self.config.model.kernels);
        let daemon =
            Daemon::start(&self.config, prepared, self.noise, self.clock).expect("a thread");
        let daemon = Arc::new(daemon);
        // A runtime of its own: what a client does cannot keep the server from running.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let (listen, grace) = (self.config.listen, self.config.shutdown_timeout);
        let connections = self.config.connections;
        let served = Arc::clone(&daemon);
        let (tell, address) = tokio::sync::oneshot::channel();
        runtime.spawn(async move {
            let listener = TcpListener::bind(listen).await.expect("a free port");
            tell.send(listener.local_addr().expect("an address")).expect("somebody waits");
            let signals = Signals::listen().expect("signals");
            serve_until(listener, &served, connections, signals, grace).await
        });
        let base = format!("http://{}", address.await.expect("a bound port"));
        let loaded = daemon.engine().loaded().await;
        assert_eq!(loaded, EngineStatus::Ready, "the model loads: {:?}", failure(&daemon, loaded));
        TestServer { base, client: Client::new(), daemon, runtime: Some(runtime) }
    }
}

/// Why the engine ended, if it did.
fn failure(daemon: &Daemon, status: EngineStatus) -> Option<String> {
    match status {
        EngineStatus::Failed => daemon.join().err().map(|error| error.to_string()),
        EngineStatus::Loading
        | EngineStatus::Ready
        | EngineStatus::Recovering
        | EngineStatus::Draining => None,
    }
}

/// A server that serves until it is dropped.
pub struct TestServer {
    base: String,
    client: Client,
    daemon: Arc<Daemon>,
    runtime: Option<Runtime>,
}

impl TestServer {
    /// Where a path is.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Asks for a path.
    ///
    /// # Panics
    /// If there is no answer at all.
    pub async fn get(&self, path: &str) -> Response {
        self.client.get(format!("{}{path}", self.base)).send().await.expect("an answer")
    }

    /// Posts a chat request as it is.
    ///
    /// # Panics
    /// If there is no answer at all.
    pub async fn post(&self, body: &Value) -> Response {
        self.post_to("/v1/chat/completions", body).await
    }

    /// Posts a request to a path as it is.
    ///
    /// # Panics
    /// If there is no answer at all.
    pub async fn post_to(&self, path: &str, body: &Value) -> Response {
        let url = format!("{}{path}", self.base);
        self.client.post(url).json(body).send().await.expect("an answer")
    }

    /// What a path answers to a request.
    ///
    /// # Panics
    /// If that is an error, or no JSON.
    pub async fn answer(&self, path: &str, body: &Value) -> Value {
        let response = self.post_to(path, body).await;
        let status = response.status();
        let answer: Value = response.json().await.expect("JSON");
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// The engine's numbers after its last step.
    pub fn stats(&self) -> SchedulerStats {
        self.daemon.engine().stats()
    }

    /// A whole document.
    ///
    /// # Panics
    /// If the answer is anything else.
    pub async fn whole(&self, request: &Value) -> WholeAnswer {
        WholeAnswer::read(self.post(request).await).await
    }

    /// A document as it is written, with its usage.
    ///
    /// # Panics
    /// If the answer is no stream of events.
    pub async fn stream(&self, request: &Value) -> Stream {
        let mut request = request.clone();
        request["stream"] = json!(true);
        request["stream_options"] = json!({"include_usage": true});
        Stream::open(self.post(&request).await)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Every connection closes, so that nothing keeps the engine from draining.
            runtime.shutdown_background();
        }
        self.daemon.engine().drain();
        if let Err(failure) = self.daemon.join()
            && !std::thread::panicking()
        {
            panic!("the engine failed: {failure}");
        }
    }
}

/// A request of one user message, with `fields` on top.
///
/// # Panics
/// If `fields` is no object.
pub fn asking(content: Value, fields: Value) -> Value {
    let mut message = Map::new();
    message.insert("role".to_owned(), "user".into());
    message.insert("content".to_owned(), content);
    conversation(Value::Array(vec![message.into()]), fields)
}

/// A request with these messages, with `fields` on top.
///
/// # Panics
/// If `fields` is no object.
pub fn conversation(messages: Value, fields: Value) -> Value {
    let mut request = Map::new();
    request.insert("model".to_owned(), MODEL.into());
    request.insert("messages".to_owned(), messages);
    let Value::Object(fields) = fields else { panic!("fields are an object: {fields}") };
    request.extend(fields);
    request.into()
}
