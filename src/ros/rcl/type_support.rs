//! Type support by `dlopen`: loads what rcl needs to know about a message type from the library that
//! the type's package installs. This allows any type that is installed when the program runs.
//!
//! A loaded library stays loaded until the process ends, because the middleware keeps pointers into it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use libloading::Library;
use parking_lot::Mutex;
use r2r_rcl::rosidl_message_type_support_t;

/// The type support of one message type.
#[derive(Clone, Copy)]
pub struct TypeSupport(&'static rosidl_message_type_support_t);

// SAFETY: it refers to constants in a library that stays loaded, which nobody writes to.
unsafe impl Send for TypeSupport {}
// SAFETY: as above.
unsafe impl Sync for TypeSupport {}

/// Why a type support can't be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TypeSupportError {
    /// The name is not `package/msg/Type`, `package/srv/Type_Event`, `package/action/Type_FeedbackMessage`, ….
    #[error("`{0}` is not the name of a message type, such as `std_msgs/msg/String`")]
    Name(String),
    /// No such package is installed.
    #[error(
        "package `{package}` of type {type_name} is not installed in the ROS environment of this process; \
         source the workspace that has it and start again"
    )]
    NotInstalled {
        /// The type.
        type_name: String,
        /// Its package.
        package: String,
    },
    /// The package's library can't be loaded.
    #[error(
        "the library of type {type_name} can't be loaded; source the workspace that has `{package}` and \
         start again ({reason})"
    )]
    Library {
        /// The type.
        type_name: String,
        /// Its package.
        package: String,
        /// The loader's error text.
        reason: String,
    },
    /// The package is installed but has no such type.
    #[error("package `{package}` as it is installed has no type {type_name}")]
    NoSuchType {
        /// The type.
        type_name: String,
        /// Its package.
        package: String,
    },
}

/// The loaded libraries, by package.
static LOADED: LazyLock<Mutex<HashMap<String, &'static Library>>> = LazyLock::new(Mutex::default);

type GetHandle = unsafe extern "C" fn() -> *const rosidl_message_type_support_t;

impl TypeSupport {
    /// Loads the type support of `type_name`, `package/msg/Type`.
    ///
    /// # Errors
    /// See [`TypeSupportError`].
    pub fn load(type_name: &str) -> Result<Self, TypeSupportError> {
        let (package, kind, name) =
            split(type_name).ok_or_else(|| TypeSupportError::Name(type_name.to_owned()))?;
        let library = library(type_name, package)?;
        let symbol = format!(
            "rosidl_typesupport_c__get_message_type_support_handle__{package}__{kind}__{name}"
        );
        let no_such_type = || TypeSupportError::NoSuchType {
            type_name: type_name.to_owned(),
            package: package.to_owned(),
        };
        // SAFETY: rosidl generates this function for every message type, with this signature.
        let get_handle = unsafe { library.get::<GetHandle>(symbol.as_bytes()) };
        let get_handle = get_handle.map_err(|_| no_such_type())?;
        // SAFETY: it takes nothing and returns the address of a constant of the library.
        let handle = unsafe { get_handle() };
        // SAFETY: null, or a valid constant of a library that is never unloaded.
        unsafe { handle.as_ref() }.map(Self).ok_or_else(no_such_type)
    }

    pub(super) fn as_ptr(self) -> *const rosidl_message_type_support_t {
        self.0
    }
}

/// Package, kind (`msg`, `srv`, `action`) and name. They become part of a file's name and of a symbol.
fn split(type_name: &str) -> Option<(&str, &str, &str)> {
    let mut parts = type_name.split('/');
    let (package, kind, name) = (parts.next()?, parts.next()?, parts.next()?);
    let is_word = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let fits = parts.next().is_none()
        && matches!(kind, "msg" | "srv" | "action")
        && is_word(package)
        && is_word(name);
    fits.then_some((package, kind, name))
}

fn library(type_name: &str, package: &str) -> Result<&'static Library, TypeSupportError> {
    let mut loaded = LOADED.lock();
    if let Some(library) = loaded.get(package) {
        return Ok(library);
    }
    let file = format!("lib{package}__rosidl_typesupport_c.so");
    let prefixes = std::env::var_os("AMENT_PREFIX_PATH").unwrap_or_default();
    let installed = std::env::split_paths(&prefixes)
        .map(|prefix| prefix.join("lib").join(&file))
        .find(|path| path.is_file());
    let path = installed.clone().unwrap_or_else(|| PathBuf::from(&file));
    let library = open(&path).map_err(|reason| match installed {
        Some(_) => TypeSupportError::Library {
            type_name: type_name.to_owned(),
            package: package.to_owned(),
            reason,
        },
        // The loader did not find it by its own ways either.
        None => TypeSupportError::NotInstalled {
            type_name: type_name.to_owned(),
            package: package.to_owned(),
        },
    })?;
    // Never unloaded; see the head of this file.
    let library: &'static Library = Box::leak(Box::new(library));
    loaded.insert(package.to_owned(), library);
    Ok(library)
}

fn open(path: &Path) -> Result<Library, String> {
    // SAFETY: loading runs the library's initializers. It is rosidl's generated code from a workspace that
    // the user has sourced, as every ROS program loads it.
    unsafe { Library::new(path) }.map_err(|error| error.to_string())
}
