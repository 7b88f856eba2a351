//! What can go wrong, and with what.

use std::time::Duration;

use lockstep_testkit::proxy::Mode;

/// The programs that run, by their files.
pub(super) const PROGRAMS: [&str; 5] =
    ["lockstep-sequencer", "lockstep-sequencer", "lockstep-worker", "lockstep-worker", "lockstep-worker"];

/// A service that they use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Service {
    Postgres,
    RabbitMq,
    ClickHouse,
}

/// Every service.
pub(super) const SERVICES: [Service; 3] = [Service::Postgres, Service::RabbitMq, Service::ClickHouse];

impl Service {
    /// As `cargo xtask restart` calls it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgresql",
            Self::RabbitMq => "rabbitmq",
            Self::ClickHouse => "clickhouse",
        }
    }

    /// Its place in [`SERVICES`].
    pub(super) const fn place(self) -> usize {
        self as usize
    }

    /// The variable that tells the programs where it is.
    pub(super) const fn variable(self) -> &'static str {
        match self {
            Self::Postgres => "LOCKSTEP_SOURCE_URL",
            Self::RabbitMq => "LOCKSTEP_AMQP_URL",
            Self::ClickHouse => "LOCKSTEP_CLICKHOUSE_URL",
        }
    }
}

/// What the network does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Trouble {
    /// Open connections break.
    Cut,
    /// They break, and new ones too.
    Refuse,
    /// Nothing passes.
    HalfOpen,
    /// Everything is late, by so many milliseconds a piece.
    Delay(u64),
    /// Requests arrive, answers do not.
    DropResponse,
}

impl Trouble {
    /// What the proxy does while it lasts; none: it is over as soon as it has begun.
    pub(super) const fn mode(self) -> Option<Mode> {
        match self {
            Self::Cut => None,
            Self::Refuse => Some(Mode::Cut),
            Self::HalfOpen => Some(Mode::HalfOpen),
            Self::Delay(ms) => Some(Mode::Delay(Duration::from_millis(ms))),
            Self::DropResponse => Some(Mode::DropResponse),
        }
    }
}

/// Tenants that have a database of their own.
pub(super) const TENANTS: usize = 2;

/// One thing that goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// A program is killed (`kill -9`), and started again when the fault is over.
    Kill(usize),
    /// A program is stopped (SIGSTOP) and continued.
    Stop(usize),
    /// A service is killed and started again.
    Restart(Service),
    /// The way to a service is in trouble, for one program or all of them.
    Network { service: Service, whose: Option<usize>, trouble: Trouble },
    /// The way to a tenant's own database is in trouble, for all programs. One that refuses has also ended its sessions, as a
    /// server does that is started again.
    Tenant { which: usize, trouble: Trouble },
}

impl Fault {
    /// What it is called when faults are counted.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Kill(_) => "program killed",
            Self::Stop(_) => "program stopped and continued",
            Self::Restart(Service::Postgres) => "PostgreSQL killed and started",
            Self::Restart(Service::RabbitMq) => "RabbitMQ killed and started",
            Self::Restart(Service::ClickHouse) => "ClickHouse killed and started",
            Self::Network { trouble, .. } => match trouble {
                Trouble::Cut => "connections cut",
                Trouble::Refuse => "connections refused",
                Trouble::HalfOpen => "connections half-open",
                Trouble::Delay(_) => "connections slow",
                Trouble::DropResponse => "answers dropped",
            },
            Self::Tenant { trouble, .. } => match trouble {
                Trouble::Cut => "a tenant's connections cut",
                Trouble::Refuse => "a tenant's server down",
                Trouble::HalfOpen => "a tenant's server hanging",
                Trouble::Delay(_) => "a tenant's server slow",
                Trouble::DropResponse => "a tenant's answers dropped",
            },
        }
    }

    /// Whether both concern the same thing, so that the end of one would be the end of the other.
    pub(super) fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Kill(one) | Self::Stop(one), Self::Kill(other) | Self::Stop(other)) => one == other,
            (Self::Restart(_), Self::Restart(_)) => true,
            (Self::Tenant { which, .. }, Self::Tenant { which: other, .. }) => which == other,
            (Self::Network { service, whose, .. }, Self::Network { service: other, whose: others, .. }) => {
                service == other && (whose.is_none() || others.is_none() || whose == others)
            }
            _ => false,
        }
    }
}
