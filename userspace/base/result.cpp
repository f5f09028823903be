// SPDX-License-Identifier: Apache-2.0
#include "userspace/base/result.h"

#include <cstring>
#include <stdexcept>

namespace penstock {

Error Error::in(std::string_view context) const {
    return Error(std::string(context) + ": " + message, code);
}

Error system_error(std::string_view what, int number) {
    return Error(std::string(what) + ": " + std::strerror(number), number);
}

Error fault(std::string message) {
    return Error(std::move(message), 0);
}

void throw_exception_from_error(const Error &error, const boost::source_location &place) {
    throw std::logic_error("unchecked error at " + place.to_string() + ": " + error.message);
}

} // namespace penstock
