//! The destination's side of `lockstep migrate`.

use lockstep_destinations::{DestinationError, Provision, ProvisionPlan};

use crate::progress::Progress;

pub(super) fn print(plan: &ProvisionPlan) {
    for step in &plan.steps {
        println!("-- ClickHouse: {}", step.what);
        for statement in &step.statements {
            println!("{statement};");
        }
        println!();
    }
}

pub(super) async fn apply(
    destination: &impl Provision,
    plan: &ProvisionPlan,
    progress: &mut Progress,
) -> Result<(), DestinationError> {
    for (step, index) in plan.steps.iter().zip(1..) {
        progress.begin(&step.what);
        destination.apply(step).await?;
        let elapsed = progress.elapsed().as_millis();
        progress.say(&format!("ClickHouse {index:>3}/{}  {} ({elapsed} ms)", plan.steps.len(), step.what));
    }
    Ok(())
}
