package seed

// The words that names are made of.

import "strings"

var (
	firstNames = strings.Fields(`Ada Alan Amara Ana Anders Aoife Bruno Carmen Chen Clara Dalia Daniel Diego Elena Emil Esther
		Farah Felix Grace Hana Hugo Imani Ines Ivan Jonas Kofi Lea Linus Lucia Maja Malik Mei Nadia Noah Olive Omar Pia Priya
		Rafael Rosa Sami Sofia Tariq Theo Uma Vera Wanda Yara Yusuf Zoe`)
	lastNames = strings.Fields(`Adeyemi Alvarez Baker Bauer Bianchi Brown Cohen Costa Diallo Dubois Eriksen Fischer Garcia
		Haddad Hansen Hughes Ito Ivanova Jansen Kaya Khan Kim Kowalski Larsen Lopez Martin Mensah Moreau Nakamura Nguyen
		Novak Okafor Olsen Patel Pereira Quinn Rossi Sato Schmidt Silva Singh Smith Tanaka Virtanen Walker Weber Wilson Wolf
		Yilmaz Zhang`)
	companies = strings.Fields(`Acorn Alder Amber Anchor Aspen Beacon Birch Bramble Bridge Canyon Cedar Cobalt Copper Coral
		Delta Ember Falcon Fern Flint Garnet Granite Harbor Hazel Heron Indigo Iris Juniper Lantern Larch Linden Maple
		Meadow Meridian Mosaic Northwind Orchard Osprey Pebble Pine Quarry Raven River Saffron Slate Sparrow Summit Thistle
		Tidal Vertex Willow`)
	trades = strings.Fields(`Analytics Bank Books Clinic Energy Farms Foods Freight Games Health Hotels Labs Logistics Maps
		Media Mobility Motors Music Press Robotics Sports Systems Telecom Travel Water`)
	purposes = strings.Fields(`orders sessions metrics catalog search billing geo inventory audit content events ledger
		profiles queues reports`)
	stages = strings.Fields(`prod stage dev test`)
)
