//! The addresses of all pages, and serving them.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use lockstep_core::settings::Settings;
use lockstep_core::shutdown::Shutdown;
use lockstep_mappings::MappingSet;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::access;
use crate::actions::{self, Jobs};
use crate::answer::Refusal;
use crate::assets::{ICON, IDIOMORPH, LIVE, STYLE};
use crate::error::ConsoleError;
use crate::events::events;
use crate::history::History;
use crate::options::Options;
use crate::pool::Pool;
use crate::sample::Sample;
use crate::sampler::{Doctor, check, sample};
use crate::sign_in::SignIn;
use crate::state::{Console, Watched};
use crate::tokens::{FormKey, LinkKey};
use crate::views::{mappings, operations, overview, proof, quarantine, tenant, tenants};

/// A form is some hundred bytes.
const BODY_BYTES: usize = 16 * 1024;

/// A console that has its address.
pub struct Server {
    listener: TcpListener,
    console: Arc<Console>,
    publish: watch::Sender<Arc<Sample>>,
    doctor: Doctor,
}

/// Takes the address. Settings and definitions last as long as the program; nothing is asked yet.
///
/// # Errors
/// When the address cannot be had, or the system has no randomness.
pub async fn bind(
    options: Options,
    settings: &'static Settings,
    mappings: &'static MappingSet,
    doctor: Doctor,
) -> Result<Server, ConsoleError> {
    let address = options.listen;
    let listener = TcpListener::bind(address).await.map_err(|why| ConsoleError::Listen { address, why })?;
    let reading: &'static Settings = Box::leak(Box::new(Settings { source_read_only: true, ..settings.clone() }));
    let form_key = FormKey::new().map_err(|_| ConsoleError::Setting {
        name: "LOCKSTEP_CONSOLE_ACTIONS",
        why: "the system gives no random bytes, which forms are signed with".to_owned(),
    })?;
    let nothing = Sample {
        taken_at: std::time::SystemTime::UNIX_EPOCH,
        took_ms: 0,
        seen: Err("no look yet; this page is up to date in a moment".to_owned()),
        recent: Err(crate::sampler::UNSEEN),
        history: History::default(),
        checks: None,
    };
    let (publish, samples) = watch::channel(Arc::new(nothing));
    let port = listener.local_addr().map_or(address.port(), |address| address.port());
    let sign_in = options.password.clone().map(|password| SignIn::new(password, port));
    let link_key = options.link_secret.as_deref().map(LinkKey::new);
    let console = Arc::new(Console {
        options,
        reading,
        mappings,
        readers: Pool::new(reading, mappings),
        writers: Pool::new(settings, mappings),
        samples,
        checks: watch::Sender::new(None),
        watched: Watched::new(),
        form_key,
        sign_in,
        link_key,
        jobs: Arc::new(Jobs::default()),
    });
    Ok(Server { listener, console, publish, doctor })
}

impl Server {
    /// Where it listens: port 0 has become a free one.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until shutdown.
    ///
    /// # Errors
    /// When the system takes no connections any more.
    pub async fn run(self, stop: Shutdown) -> std::io::Result<()> {
        let Self { listener, console, publish, doctor } = self;
        let sampling = tokio::spawn(sample(Arc::clone(&console), publish, stop.clone()));
        let checking = tokio::spawn(check(Arc::clone(&console), doctor, stop.clone()));
        // What is being sent to browsers has no end of its own, so that nothing is waited for.
        let serving =
            axum::serve(listener, router(console).into_make_service_with_connect_info::<SocketAddr>()).into_future();
        let served = stop.run_until_cancelled(serving).await;
        sampling.abort();
        checking.abort();
        served.unwrap_or(Ok(()))
    }
}

fn router(console: Arc<Console>) -> Router {
    let guard = axum::middleware::from_fn_with_state(Arc::clone(&console), access::guard);
    Router::new()
        .route("/", get(overview::page))
        .route("/events", get(events))
        .route("/mappings", get(mappings::page))
        .route("/mappings/{name}", get(mappings::detail))
        .route("/tenants", get(tenants::page))
        .route("/tenants/{id}", get(tenant::page))
        .route("/t/{link}", get(tenant::own))
        .route("/quarantine", get(quarantine::page))
        .route("/proof", get(proof::page))
        .route("/proof/runs/{id}", get(proof::run))
        .route("/proof/receipts/{id}", get(proof::receipt))
        .route("/operations", get(operations::page))
        .route("/actions/{what}", get(actions::form).post(actions::act))
        .route("/style.css", get(async || STYLE))
        .route("/live.js", get(async || LIVE))
        .route("/idiomorph.js", get(async || IDIOMORPH))
        .route("/favicon.svg", get(async || ICON))
        .route("/favicon.ico", get(async || ICON))
        .fallback(async || Refusal::nothing("No page has this address."))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(guard)
        .with_state(console)
}
