// SPDX-License-Identifier: Apache-2.0
// How everything in user space fails: a value or an Error. Exceptions are for broken invariants only.
#pragma once

#include <boost/system/result.hpp>

#include <string>
#include <string_view>

namespace penstock {

// `message` is whole and for people: what was tried, on what, and why not. `code` is the errno, 0 if there is none.
// Not an aggregate on purpose: nothing converts to it by accident, so that Result<std::string> stays unambiguous.
class Error {
  public:
    Error() = default; // for boost::system::result::error() alone
    Error(std::string text, int number) : message(std::move(text)), code(number) {}

    // The same fault seen from further out: "context: message".
    Error in(std::string_view context) const;

    std::string message;
    int code = 0;
};

// Error of a failed system call: "open /x: No such file or directory".
Error system_error(std::string_view what, int number);
// Error without an errno.
Error fault(std::string message);

template <class T> using Result = boost::system::result<T, Error>;

// What Result::value() throws when there is none: asking was a broken invariant. Found by argument-dependent look-up.
[[noreturn]] void throw_exception_from_error(const Error &, const boost::source_location &);

} // namespace penstock
