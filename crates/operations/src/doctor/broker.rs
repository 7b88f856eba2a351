//! Whether RabbitMQ answers, and gives the rights that are needed.

use lockstep_core::settings::Settings;
use lockstep_queue::{MissingRight, QueueError, Topology, depths, missing_rights, permissions};
use tokio::time::timeout;

use super::{Check, PROBE_TIMEOUT, too_late};

const CHECK: &str = "RabbitMQ";

/// Looks at RabbitMQ: whether it answers, what the user may do, and whether the queues of the prefix are there. Makes, sends and
/// takes nothing.
pub async fn broker_check(settings: &Settings) -> Check {
    timeout(PROBE_TIMEOUT, look(settings)).await.unwrap_or_else(|_| too_late(CHECK))
}

async fn look(settings: &Settings) -> Check {
    let (url, ca) = (&settings.amqp_url, settings.tls_ca_file.as_deref());
    let topology = Topology::new(&settings.queue_prefix);
    let looking = async {
        let lacking = missing_rights(url, ca, &topology).await?;
        let are_there = match depths(url, ca, &topology).await {
            Ok(_) => true,
            Err(QueueError::NoQueue { .. }) => false,
            Err(error) => return Err(error),
        };
        Ok((lacking, are_there))
    };
    match looking.await {
        Ok((lacking, _)) if !lacking.is_empty() => {
            let [configure, write, read] = permissions(&topology);
            let remedy = format!(
                "rabbitmqctl set_permissions --vhost VHOST USER '{configure}' '{write}' '{read}', which takes the place of what the user has there"
            );
            Check::finding(CHECK, format!("the user may not {}", lacking_of(&lacking)), remedy)
        }
        Ok((_, true)) => {
            Check::ok(CHECK, "answers, with all rights that are needed; queues of this prefix are there already")
        }
        Ok((_, false)) => {
            Check::ok(CHECK, "answers, with all rights that are needed; programs declare their queues when they start")
        }
        Err(error) => Check::failed(CHECK, &error, settings),
    }
}

/// Of each kind of right the first, and how many more.
fn lacking_of(missing: &[MissingRight]) -> String {
    let mut said: Vec<_> = missing.iter().map(ToString::to_string).collect();
    said.sort_by_key(|right| right.split(' ').next().map(str::to_owned));
    let of_kind = said.chunk_by(|one, other| one.split(' ').next() == other.split(' ').next());
    let shown = of_kind.map(|of_kind| match of_kind.len() - 1 {
        0 => of_kind[0].clone(),
        more => format!("{} and {more} more", of_kind[0]),
    });
    shown.collect::<Vec<_>>().join(", ")
}
