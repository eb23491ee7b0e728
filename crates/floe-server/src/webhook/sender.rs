//! The thread that sends webhooks.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use floe_core::subscription::{Notification, Outcome};
use floe_proto::Namespace;
use floe_surfaces::subscriptions::notification_body;
use tokio::runtime;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::Instant;

use super::connect::Connector;
use super::exchange::exchange;
use super::key::SigningKey;

/// Sends webhook requests and hands back what came of each.
///
/// It costs nothing until the first request. Dropping it ends its thread and leaves requests that
/// are out without an answer.
pub struct WebhookSender {
    shared: Arc<Shared>,
    in_flight_max: usize,
    timeout: Duration,
    running: Option<Running>,
}

/// What the sender is bounded by.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Requests at once; one more fails, to be sent again later.
    ///
    /// A subscription has one at a time. With as many as there may be subscriptions, slow
    /// receivers cost only themselves.
    pub in_flight_max: usize,
    /// Time for a whole request, from [`WebhookSender::send`] to the end of the answer, if the
    /// subscription's lease does not end before.
    pub timeout: Duration,
    /// Time for one try to connect; a name may have several addresses.
    pub connect_timeout: Duration,
    /// Bytes of an answer's body that are read; a longer one is cut and says nothing.
    pub answer_bytes_max: usize,
    /// Whether webhooks to this machine are allowed.
    pub development: bool,
    /// Certificates in DER that are trusted besides the system's.
    pub extra_roots: Vec<Vec<u8>>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight_max: 1_000,
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            answer_bytes_max: 64 << 10,
            development: false,
            extra_roots: Vec::new(),
        }
    }
}

/// One request to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Address.
    pub url: Box<str>,
    /// Body.
    pub body: Vec<u8>,
    /// The namespace.
    pub namespace: Namespace,
    /// The subscription.
    pub id: Arc<str>,
    /// Its wake.
    pub wake_id: Box<str>,
    /// Its generation.
    pub generation: u64,
    /// An answer after this time comes too late.
    pub timeout: Duration,
}

impl Delivery {
    /// Makes the request that a subscription of a namespace wants to be sent.
    #[must_use]
    pub fn new(namespace: Namespace, notification: &Notification) -> Self {
        Self {
            namespace,
            url: notification.url.clone(),
            body: notification_body(notification),
            id: notification.subscription_id.clone(),
            wake_id: notification.wake_id.clone(),
            generation: notification.generation,
            timeout: Duration::from_millis(notification.timeout_ms),
        }
    }
}

/// What came of a [`Delivery`]: the fields of
/// [`Input::WebhookAnswered`](floe_core::subscription::Input::WebhookAnswered).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The namespace.
    pub namespace: Namespace,
    /// The subscription.
    pub id: Arc<str>,
    /// Its wake.
    pub wake_id: Box<str>,
    /// Its generation.
    pub generation: u64,
    /// What came back.
    pub outcome: Outcome,
}

struct Running {
    deliveries: Option<UnboundedSender<Box<Job>>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    key: Arc<SigningKey>,
    limits: Limits,
    connector: Connector,
    in_flight: AtomicUsize,
    on_answer: Box<dyn Fn(Answer) + Send + Sync>,
}

struct Job {
    delivery: Delivery,
    deadline: Instant,
}

impl WebhookSender {
    /// Makes a sender. `on_answer` is called once for each delivery, from the sender's thread or
    /// from within [`send`](Self::send).
    pub fn new(
        key: Arc<SigningKey>,
        limits: Limits,
        on_answer: impl Fn(Answer) + Send + Sync + 'static,
    ) -> Self {
        let connector = Connector::new(&limits);
        Self::with_connector(key, limits, connector, on_answer)
    }

    pub(super) fn with_connector(
        key: Arc<SigningKey>,
        limits: Limits,
        connector: Connector,
        on_answer: impl Fn(Answer) + Send + Sync + 'static,
    ) -> Self {
        Self {
            in_flight_max: limits.in_flight_max,
            timeout: limits.timeout,
            shared: Arc::new(Shared {
                key,
                limits,
                connector,
                in_flight: AtomicUsize::new(0),
                on_answer: Box::new(on_answer),
            }),
            running: None,
        }
    }

    /// Bounds what is sent from now on.
    pub fn set_bounds(&mut self, in_flight_max: usize, timeout: Duration) {
        self.in_flight_max = in_flight_max;
        self.timeout = timeout;
    }

    /// Sends a request, without waiting for anything.
    pub fn send(&mut self, delivery: Delivery) {
        let shared = &self.shared;
        if shared.in_flight.fetch_add(1, Ordering::Relaxed) >= self.in_flight_max {
            tracing::warn!(subscription = %delivery.id, "webhook.in_flight_max is reached");
            return shared.answered(delivery, Outcome::Failed);
        }
        let deadline = Instant::now() + delivery.timeout.min(self.timeout);
        let job = Box::new(Job { delivery, deadline });
        if let Err(job) = self.hand_over(job) {
            self.shared.answered(job.delivery, Outcome::Failed);
        }
    }

    /// Returns how many requests are out.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(super) const fn is_running(&self) -> bool {
        self.running.is_some()
    }

    fn hand_over(&mut self, job: Box<Job>) -> Result<(), Box<Job>> {
        if self.running.is_none() {
            match Running::start(&self.shared) {
                Ok(running) => self.running = Some(running),
                Err(error) => {
                    tracing::error!(%error, "the webhook thread does not start");
                    return Err(job);
                }
            }
        }
        let deliveries = self
            .running
            .as_ref()
            .and_then(|running| running.deliveries.as_ref());
        match deliveries {
            Some(deliveries) => deliveries.send(job).map_err(|unsent| unsent.0),
            None => Err(job),
        }
    }
}

impl Running {
    fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            // Names are resolved on these.
            .max_blocking_threads(8)
            .build()?;
        let (deliveries, jobs) = mpsc::unbounded_channel();
        let shared = shared.clone();
        let thread = thread::Builder::new()
            .name("webhooks".to_owned())
            .spawn(move || {
                runtime.block_on(run(&shared, jobs));
                // A name that still resolves must not hold up the end of the process.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            deliveries: Some(deliveries),
            thread: Some(thread),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.deliveries = None;
        if let Some(thread) = self.thread.take() {
            // It ends by itself; that it panicked was already reported.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn answered(&self, delivery: Delivery, outcome: Outcome) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        (self.on_answer)(Answer {
            namespace: delivery.namespace,
            id: delivery.id,
            wake_id: delivery.wake_id,
            generation: delivery.generation,
            outcome,
        });
    }
}

async fn run(shared: &Arc<Shared>, mut jobs: UnboundedReceiver<Box<Job>>) {
    while let Some(job) = jobs.recv().await {
        tokio::spawn(deliver(shared.clone(), *job));
    }
}

async fn deliver(shared: Arc<Shared>, Job { delivery, deadline }: Job) {
    let whole = exchange(&shared.connector, &shared.key, &shared.limits, &delivery);
    let outcome = match tokio::time::timeout_at(deadline, whole).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => {
            tracing::debug!(subscription = %delivery.id, %error, "webhook failed");
            Outcome::Failed
        }
        Err(_) => {
            tracing::debug!(subscription = %delivery.id, "webhook timed out");
            Outcome::Failed
        }
    };
    shared.answered(delivery, outcome);
}
