//! `lockstep top`: how all is, drawn anew every second.

use std::time::Duration;

use clap::Args;
use comfy_table::{Table, presets};
use lockstep_console::{Level, Stage, Top, TopNumber, TopReport};
use lockstep_core::exit;
use lockstep_core::output::{self, Form, Tone, toned};
use lockstep_core::settings::Settings;
use lockstep_mappings::MappingSet;
use lockstep_operations::MappingState;
use tokio::time::sleep;

use crate::error::CliError;
use crate::output::{Page, Report, align_right, fitted, say, show};
use crate::watch::watch;

/// How often it is drawn.
const EVERY: Duration = Duration::from_secs(1);
/// Of a list so many are shown.
const SHOWN: usize = 5;

#[derive(Args, Debug)]
pub(crate) struct TopArgs {
    /// Show it once, for scripts; so it is wherever nobody watches a terminal. Exit 0 in step, 1 something is wrong, 3 unknown
    #[arg(long)]
    once: bool,
}

/// Draws until Ctrl-C or q, or shows it once. Returns the exit code.
pub(crate) async fn run(args: &TopArgs, settings: &Settings, mappings: &MappingSet) -> Result<u8, CliError> {
    // They last as long as the program. Postgres refuses every write of these sessions.
    let settings: &'static Settings = Box::leak(Box::new(Settings { source_read_only: true, ..settings.clone() }));
    let mappings: &'static MappingSet = Box::leak(Box::new(mappings.clone()));
    let mut top = Top::new(settings, mappings);
    let is_watched = output::chosen().form() == Form::Table && output::terminal_rows().is_some();
    if is_watched && !args.once {
        return watch(Some(EVERY), settings, async || top.look().await).await;
    }
    // What goes on each second is known from two looks.
    top.look().await?;
    sleep(EVERY).await;
    Ok(show(&top.look().await?))
}

const fn tone(level: Level) -> Tone {
    match level {
        Level::Well => Tone::Good,
        Level::Attention => Tone::Attention,
        Level::Wrong | Level::Unknown => Tone::Wrong,
    }
}

impl Report for TopReport {
    fn print(&self, page: &mut Page) {
        let verdict = &self.verdict;
        say!(page, "{}: {}", toned(verdict.level.word(), tone(verdict.level)), one_line(&verdict.sentence));
        let mut troubles = plain();
        for trouble in verdict.troubles.iter().take(SHOWN) {
            let word = toned(trouble.level.word(), tone(trouble.level));
            troubles.add_row([word, one_line(&trouble.what), one_line(&trouble.remedy)]);
        }
        if !verdict.troubles.is_empty() {
            say!(page, "{}", fitted(troubles));
        }
        more(page, verdict.troubles.len());
        say!(page, "\n{}\n{}", stages(&self.stages), numbers(&self.numbers));
        let worst: Vec<_> = self.mappings.iter().filter(|one| one.state != MappingState::InStep).collect();
        if !worst.is_empty() {
            say!(page, "\n{}", crate::mapping::entries(worst.iter().copied().take(SHOWN)));
            more(page, worst.len());
        } else if !self.mappings.is_empty() && verdict.level <= Level::Attention {
            let all = match self.mappings.len() {
                1 => "The one mapping is".to_owned(),
                many => format!("All {many} mappings are"),
            };
            say!(page, "\n{all} {}.", toned("in step", Tone::Good));
        }
        if !self.tenants.is_empty() {
            say!(page, "\n{}", crate::tenants::entries(self.tenants.iter().take(SHOWN)));
            more(page, self.tenants.len());
        }
        crate::status::print_instances(page, &self.instances);
        say!(page, "\n{}, took {} ms", self.taken_at, self.took_ms);
    }

    fn exit_code(&self) -> u8 {
        match self.verdict.level {
            Level::Well | Level::Attention => exit::OK,
            Level::Wrong => exit::DIFFERENT,
            Level::Unknown => exit::UNFINISHED,
        }
    }
}

/// Errors of services may have several lines.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}

fn more(page: &mut Page, all: usize) {
    if all > SHOWN {
        say!(page, "and {} more", all - SHOWN);
    }
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

/// The way of a change, from left to right.
fn stages(stages: &[Stage]) -> Table {
    let mut table = plain();
    table.set_header(stages.iter().map(|stage| stage.name));
    table.add_row(stages.iter().map(|stage| toned(stage.word, tone(stage.level))));
    table
}

/// In two columns: there are many, and screens are wide.
fn numbers(numbers: &[TopNumber]) -> Table {
    let (left, right) = numbers.split_at(numbers.len().div_ceil(2));
    let cells = |of: Option<&TopNumber>| of.map_or_else(Default::default, |of| [of.what.to_owned(), of.now.clone()]);
    let mut table = plain();
    for (at, left) in left.iter().enumerate() {
        let ([what, now], [other, other_now]) = (cells(Some(left)), cells(right.get(at)));
        table.add_row([what, now, other, other_now]);
    }
    align_right(&mut table, &[1, 3]);
    table
}
