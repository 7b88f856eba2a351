//! The programs under chaos, each with its own way to each service.

use std::path::PathBuf;

use anyhow::Context;

use super::fault::{PROGRAMS, SERVICES, Service};
use lockstep_testkit::installation::{Installation, Program};
use lockstep_testkit::proxy::Proxy;

/// One program, in one of its lives.
struct Member {
    file: &'static str,
    environment: Vec<(&'static str, String)>,
    /// One for each service.
    proxies: Vec<Proxy>,
    program: Option<Program>,
    lives: u32,
}

/// All of them.
pub(super) struct Fleet<'a> {
    installation: &'a Installation,
    members: Vec<Member>,
    /// Logs of programs that ended though nobody had killed them.
    ended: Vec<PathBuf>,
}

impl<'a> Fleet<'a> {
    pub(super) async fn start(installation: &'a Installation) -> anyhow::Result<Self> {
        let mut members = Vec::new();
        for file in PROGRAMS {
            let (mut proxies, mut environment) = (Vec::new(), Vec::new());
            for service in SERVICES {
                let url = url(installation, service);
                let (proxy, proxied) = Proxy::before(url).await.with_context(|| service.name())?;
                proxies.push(proxy);
                environment.push((service.variable(), proxied));
            }
            members.push(Member { file, environment, proxies, program: None, lives: 0 });
        }
        let mut fleet = Self { installation, members, ended: Vec::new() };
        (0..PROGRAMS.len()).try_for_each(|place| fleet.begin(place))?;
        Ok(fleet)
    }

    /// Starts a program that does not run.
    pub(super) fn begin(&mut self, place: usize) -> anyhow::Result<()> {
        let member = &mut self.members[place];
        if member.program.is_none() {
            member.lives += 1;
            let label = format!("chaos-{place}-{}-{}", member.file, member.lives);
            member.program = Some(self.installation.start_with(member.file, &label, &member.environment)?);
        }
        Ok(())
    }

    pub(super) async fn kill(&mut self, place: usize) -> anyhow::Result<()> {
        self.tend()?;
        match self.members[place].program.take() {
            Some(program) => program.kill().await,
            None => Ok(()),
        }
    }

    /// Sends a signal to a program that runs.
    pub(super) async fn signal(&mut self, place: usize, name: &str) -> anyhow::Result<()> {
        self.tend()?;
        match &self.members[place].program {
            Some(program) => program.signal(name).await,
            None => Ok(()),
        }
    }

    /// The ways to a service, of one program or of all.
    pub(super) fn ways(&self, service: Service, whose: Option<usize>) -> impl Iterator<Item = &Proxy> {
        let members = self.members.iter().enumerate();
        let members = members.filter(move |(place, _)| whose.is_none_or(|whose| whose == *place));
        members.map(move |(_, member)| &member.proxies[service.place()])
    }

    /// Starts again whatever ended by itself, as a supervisor would, and remembers it.
    pub(super) fn tend(&mut self) -> anyhow::Result<()> {
        for place in 0..self.members.len() {
            let member = &mut self.members[place];
            let Some(program) = &mut member.program else { continue };
            if program.has_ended()? {
                self.ended.push(program.log().to_owned());
                member.program = None;
                self.begin(place)?;
            }
        }
        Ok(())
    }

    /// Stops all programs in good order. The logs of those that had ended by themselves.
    pub(super) async fn end(self) -> anyhow::Result<Vec<PathBuf>> {
        for program in self.members.into_iter().filter_map(|member| member.program) {
            program.stop().await?;
        }
        Ok(self.ended)
    }
}

fn url(installation: &Installation, service: Service) -> &str {
    match service {
        Service::Postgres => installation.database().url(),
        Service::RabbitMq => &installation.services().amqp_url,
        Service::ClickHouse => &installation.services().clickhouse_url,
    }
}
