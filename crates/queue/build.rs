//! Compiles the protobuf messages, without a system `protoc`.
#![allow(clippy::print_stdout, reason = "printing is how a build script speaks to cargo")]

use std::error::Error;

const PROTO_DIR: &str = "../../proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PROTO_DIR}");
    let descriptors = protox::compile(["lockstep/v1/tenant_batch.proto"], [PROTO_DIR])?;
    prost_build::compile_fds(descriptors)?;
    Ok(())
}
