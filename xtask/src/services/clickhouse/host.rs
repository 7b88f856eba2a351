//! A process that is the ClickHouse engine, loaded as a library.

use std::ffi::{CString, OsString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use libloading::Library;

/// `clickhouse local` begins to listen and then has to be kept busy: it ends with its last query. This one takes
/// three hundred million seconds.
const QUERY: &str = "SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP; SELECT sleepEachRow(3) FROM numbers(100000000) \
     FORMAT Null SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0";

/// What the library exports: `clickhouse local` as a function of its command line.
type QueryStable = unsafe extern "C" fn(c_int, *mut *mut c_char) -> *mut c_void;

/// The options that make it listen on 127.0.0.1.
pub(super) fn listen(home: &Path, ports: &[u16]) -> [OsString; 7] {
    let mut path = OsString::from("--path=");
    path.push(home.join("data"));
    [
        path,
        "--log-level=information".into(),
        "--listen_host=127.0.0.1".into(),
        format!("--http_port={}", ports[0]).into(),
        format!("--tcp_port={}", ports[1]).into(),
        "--query".into(),
        QUERY.into(),
    ]
}

/// Runs the engine until the process is ended; returns only if the engine refuses to run.
pub(crate) fn host(library: &Path, arguments: Vec<OsString>) -> Result<ExitCode> {
    // The first argument counts as the program's name.
    let arguments: Vec<CString> =
        arguments.into_iter().map(|argument| CString::new(argument.into_vec())).collect::<Result<_, _>>()?;
    let mut pointers: Vec<*mut c_char> = arguments.iter().map(|argument| argument.as_ptr().cast_mut()).collect();
    let count = c_int::try_from(pointers.len())?;
    #[allow(unsafe_code, reason = "the engine is a C++ library; there is no other way to call it")]
    // SAFETY: the file is the one that `library::fetch` unpacked, whose version is pinned; loading it runs its own
    // initialisers only. The function takes `argc` and `argv` like `main`: both are valid for the whole call, and the
    // result is not looked at.
    unsafe {
        let loaded = Library::new(library).with_context(|| format!("cannot load {}", library.display()))?;
        let query_stable = loaded.get::<QueryStable>(b"query_stable_v2\0")?;
        query_stable(count, pointers.as_mut_ptr());
    }
    bail!("the engine has ended by itself; its log says why")
}
