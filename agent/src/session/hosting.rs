//! What a host of virtual machines does beside its work: shows their screens to whoever waits for one, and sends what they print.
//!
//! It runs for as long as the session, also while a plan is carried out. Nothing of it is kept: people wait, and the server knows how far it is.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::StreamExt;
use tokio::{
    io::{AsyncWriteExt, split},
    task::JoinSet,
};
use tokio_util::{io::ReaderStream, sync::CancellationToken, task::AbortOnDropHandle};
use wire::console::{ConsoleRefusal, ConsolesRequest, SerialPlace, WantedConsole};

use crate::{
    backoff::{self, Backoff},
    host::{self, Host},
    report::chain,
    server::{self, Server},
    vm::{console, serial},
};

/// How long the server may keep the question for screens waiting.
const WAIT_S: u32 = 60;
/// Before it is asked again when nobody wanted anything.
const SHORTEST_REST: Duration = Duration::from_millis(500);
/// A server that does not know the question is asked again after an upgrade, at some time.
const UNKNOWN_PAUSE: Duration = Duration::from_mins(10);
/// Screens at once.
const MOST_SCREENS: usize = 32;
/// Bytes that are read of a screen at a time.
const PIECE: usize = 16 << 10;
/// What machines print is looked for this often, ...
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// ... and of each so many pieces are sent: a machine that prints without end must not fill the line.
const MOST_PIECES: usize = 4;
/// After the server has not taken something.
const REFUSED_PAUSE: Duration = Duration::from_secs(10);

/// Begins; it ends with what is given back.
pub(super) fn begin(host: Arc<dyn Host>, server: Arc<dyn Server>) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        tokio::join!(show_screens(&host, &server), send_prints(host.as_ref(), server.as_ref()));
    }))
}

async fn show_screens(host: &Arc<dyn Host>, server: &Arc<dyn Server>) {
    let mut screens = JoinSet::new();
    let mut backoff = Backoff::default();
    loop {
        match server.consoles(&ConsolesRequest { wait_s: WAIT_S }).await {
            Ok(response) => {
                backoff.succeed();
                // A server that stops answers at once.
                if response.wanted.is_empty() {
                    tokio::time::sleep(SHORTEST_REST).await;
                }
                while screens.try_join_next().is_some() {}
                for wanted in response.wanted {
                    if screens.len() < MOST_SCREENS {
                        screens.spawn(show(Arc::clone(host), Arc::clone(server), wanted));
                    } else {
                        screens.spawn(refuse(
                            Arc::clone(server),
                            wanted.link,
                            "this host shows as many screens as it can already".to_owned(),
                        ));
                    }
                }
            }
            Err(server::Error::Refused { status: 404, .. }) => tokio::time::sleep(UNKNOWN_PAUSE).await,
            Err(error) => {
                tracing::debug!(error = chain(&error), "waiting for somebody who wants to see a screen");
                tokio::time::sleep(backoff.fail(backoff::random())).await;
            }
        }
    }
}

async fn refuse(server: Arc<dyn Server>, link: String, reason: String) {
    tracing::warn!(reason, "a screen is not shown");
    if let Err(error) = server.refuse_console(&link, &ConsoleRefusal { reason }).await {
        tracing::warn!(error = chain(&error), "nor can it be said why");
    }
}

/// Shows a screen until one side has enough.
async fn show(host: Arc<dyn Host>, server: Arc<dyn Server>, wanted: WantedConsole) {
    let screen = match console::open(host.as_ref(), &wanted.machine).await {
        Ok(screen) => screen,
        Err(error) => return refuse(server, wanted.link, chain(&error)).await,
    };
    tracing::info!(machine = wanted.machine, "somebody sees the screen of a machine");
    let (shown, mut input) = split(screen);
    // The request's body lives on in its connection; with this it ends when we do.
    let over = CancellationToken::new();
    let ends = over.clone().drop_guard();
    let shown = ReaderStream::with_capacity(shown, PIECE).take_until(over.cancelled_owned());
    let mut done = match server.console(&wanted.link, shown.boxed()).await {
        Ok(done) => done,
        Err(error) => {
            tracing::warn!(error = chain(&error), "showing a screen");
            return;
        }
    };
    while let Some(Ok(piece)) = done.next().await {
        if input.write_all(&piece).await.is_err() || input.flush().await.is_err() {
            break;
        }
    }
    drop(ends);
    tracing::info!(machine = wanted.machine, "nobody sees it any more");
}

async fn send_prints(host: &dyn Host, server: &dyn Server) {
    let mut places: HashMap<String, Option<SerialPlace>> = HashMap::new();
    loop {
        let all_taken = send_all(host, server, &mut places).await;
        let pause = if all_taken { LOOK_EVERY } else { REFUSED_PAUSE };
        tokio::time::sleep(pause).await;
    }
}

/// Sends what has come; tells whether all of it was taken.
async fn send_all(
    host: &dyn Host,
    server: &dyn Server,
    places: &mut HashMap<String, Option<SerialPlace>>,
) -> bool {
    let machines = match serial::machines(host) {
        Ok(machines) => machines,
        Err(error) => {
            tracing::warn!(error = chain(&error), "looking for what machines print");
            return false;
        }
    };
    places.retain(|name, _| machines.contains(name));
    let mut good = true;
    for machine in machines {
        if let Err(error) = send(host, server, &machine, places).await {
            tracing::debug!(machine, error = chain(&error), "sending what a machine prints");
            // Whatever has become of it, the server knows.
            places.remove(&machine);
            good = false;
        }
    }
    good
}

/// Why something was not sent.
#[derive(Debug, thiserror::Error)]
enum Unsent {
    #[error(transparent)]
    Host(#[from] host::Error),
    #[error(transparent)]
    Server(#[from] server::Error),
}

async fn send(
    host: &dyn Host,
    server: &dyn Server,
    machine: &str,
    places: &mut HashMap<String, Option<SerialPlace>>,
) -> Result<(), Unsent> {
    let mut known = match places.get(machine) {
        Some(known) => *known,
        None => server.serial(&serial::question(machine)).await?.known,
    };
    for _ in 0..MOST_PIECES {
        let Some(piece) = serial::next(host, machine, known)? else { break };
        known = server.serial(&piece).await?.known;
    }
    places.insert(machine.to_owned(), known);
    Ok(())
}
